# The backend for TensorRT on a simulated GPU: needs nothing of NVIDIA's, but ONNX Runtime, which runs the engines.
set(simulated "${CMAKE_CURRENT_SOURCE_DIR}/tests/simulated")
add_library(simulated_driver SHARED "${simulated}/simulated_driver.cpp")
set_target_properties(simulated_driver PROPERTIES OUTPUT_NAME cuda SUFFIX .so.1 CXX_VISIBILITY_PRESET default)

file(GLOB engine CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/tensorrt/engine/*.cpp")
fdcn_add_program(tensorrt_simulated_tests PARTS pipeline ${below_pipeline}
                 SOURCES "${simulated}/tensorrt_test.cpp" "${simulated}/simulated_cuda.cpp"
                         "${simulated}/simulated_kernels.cpp" "${simulated}/simulated_tensorrt.cpp" ${engine})
target_include_directories(tensorrt_simulated_tests BEFORE PRIVATE "${simulated}")
target_link_libraries(tensorrt_simulated_tests PRIVATE simulated_driver GTest::gtest_main)
add_test(NAME tensorrt_simulated COMMAND tensorrt_simulated_tests)

set(emulator "${FDCN_ROOT}/tests/plugins/emulator")
if(EXISTS "${emulator}/cuda_runtime.h")
  fdcn_add_program(tensorrt_kernel_tests PARTS sampler plan bundle text SOURCES "${simulated}/kernels_test.cpp")
  target_include_directories(tensorrt_kernel_tests SYSTEM BEFORE PRIVATE "${emulator}")
  target_link_libraries(tensorrt_kernel_tests PRIVATE GTest::gtest_main)
  add_test(NAME tensorrt_kernels COMMAND tensorrt_kernel_tests)
endif()
