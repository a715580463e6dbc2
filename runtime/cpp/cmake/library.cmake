# The library, of one static part a folder of src/: the tests of a part are linked with it and the parts below it alone.
set(FDCN_PARTS text bundle plan request sampler tensorrt pipeline)
if(FDCN_ONNXRUNTIME)
  list(APPEND FDCN_PARTS onnxruntime)
endif()
foreach(part IN LISTS FDCN_PARTS)
  file(GLOB sources CONFIGURE_DEPENDS "src/${part}/*.cpp")
  add_library(fdcn_part_${part} STATIC ${sources})
  if(FDCN_TESTS)  # by a short name, for whoever works on one
    add_custom_target(part_${part} DEPENDS fdcn_part_${part})
  endif()
  target_link_libraries(fdcn_part_${part} PRIVATE fdcn_settings)
  list(APPEND FDCN_OBJECTS $<TARGET_OBJECTS:fdcn_part_${part}>)
endforeach()
target_link_libraries(fdcn_part_text PRIVATE OpenSSL::Crypto)
target_link_libraries(fdcn_part_pipeline PRIVATE PNG::PNG Threads::Threads)
set(FDCN_NEEDS OpenSSL::Crypto PNG::PNG Threads::Threads ${CMAKE_DL_LIBS})
if(FDCN_ONNXRUNTIME)
  target_link_libraries(fdcn_part_onnxruntime PRIVATE ONNXRuntime::ONNXRuntime)
  list(APPEND FDCN_NEEDS ONNXRuntime::ONNXRuntime)
endif()
if(FDCN_TENSORRT)
  include(cmake/tensorrt.cmake)
  fdcn_add_tensorrt()
endif()

# Both kinds hold the same objects. What fdcn::fdcn_static is linked with shows to its users' linker, not to their
# compiler: cmake/fdcn-config.cmake.in finds it again.
add_library(fdcn SHARED ${FDCN_OBJECTS})
add_library(fdcn_static STATIC ${FDCN_OBJECTS})
add_library(fdcn::fdcn ALIAS fdcn)
add_library(fdcn::fdcn_static ALIAS fdcn_static)
set_target_properties(fdcn_static PROPERTIES OUTPUT_NAME fdcn)
foreach(target fdcn fdcn_static)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_features(${target} PUBLIC cxx_std_17)
  target_include_directories(${target} INTERFACE "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
                                                 "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} PRIVATE ${FDCN_NEEDS})
endforeach()

# A symbol's version is that of the first ABI that has it: what breaks one raises SOVERSION and the version together.
set(FDCN_ABI 0)
set_target_properties(fdcn PROPERTIES VERSION ${FDCN_VERSION} SOVERSION ${FDCN_ABI}
                      LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/cmake/fdcn.map")
# ONNX Runtime and TensorRT keep pointers to the operator for as long as the process: the library stays loaded.
target_link_options(fdcn PRIVATE "LINKER:--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/fdcn.map"
                    LINKER:--exclude-libs,ALL LINKER:-z,nodelete $<$<CONFIG:Release>:LINKER:-z,defs>
                    $<$<CONFIG:Release>:-s>)
