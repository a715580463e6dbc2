# What is linked with NVIDIA's libraries and needs no GPU.
fdcn_add_program(tensorrt_linked_tests PARTS tensorrt sampler plan bundle text
                 SOURCES "${CMAKE_CURRENT_SOURCE_DIR}/tests/linked/linked_test.cpp")
target_include_directories(tensorrt_linked_tests SYSTEM PRIVATE "${CUDA_ROOT}/include" "${TensorRT_INCLUDE_DIR}")
target_link_libraries(tensorrt_linked_tests PRIVATE GTest::gtest_main)
add_test(NAME tensorrt_linked COMMAND tensorrt_linked_tests)
