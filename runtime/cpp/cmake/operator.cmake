# The operator MultiScaleDCN: libfdcn_ops.so for whoever uses ONNX Runtime, and its objects for libfdcn.
if(FDCN_ONNXRUNTIME)
  set(ONNXRUNTIME_INCLUDE "${ONNXRuntime_INCLUDE_DIR}")
  add_subdirectory("${FDCN_ROOT}/plugins/native" native)
  set_target_properties(fdcn_ops PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")  # beside libfdcn
  get_property(kernels DIRECTORY "${FDCN_ROOT}/plugins/native" PROPERTY BUILDSYSTEM_TARGETS)
  list(FILTER kernels INCLUDE REGEX "^kernel_")
  if(NOT FDCN_WARNINGS_AS_ERRORS)  # which that folder asks for by itself
    foreach(target fdcn_ops ${kernels})
      get_target_property(flags ${target} COMPILE_OPTIONS)
      list(REMOVE_ITEM flags -Werror)
      set_target_properties(${target} PROPERTIES COMPILE_OPTIONS "${flags}")
    endforeach()
  endif()

  # Without FDCN_OPERATOR_ALONE: every library of operators is entered by RegisterCustomOps, and a program may be linked
  # with several.
  add_library(fdcn_part_operator STATIC "${FDCN_ROOT}/plugins/native/onnxruntime_ops.cpp"
                                        "${FDCN_ROOT}/plugins/native/cpu_dispatch.cpp")
  target_link_libraries(fdcn_part_operator PRIVATE fdcn_settings ONNXRuntime::ONNXRuntime)
  list(APPEND FDCN_OBJECTS $<TARGET_OBJECTS:fdcn_part_operator>)
  foreach(kernel IN LISTS kernels)
    target_sources(fdcn_part_operator PRIVATE $<TARGET_OBJECTS:${kernel}>)
    list(APPEND FDCN_OBJECTS $<TARGET_OBJECTS:${kernel}>)
  endforeach()
endif()
