# The backend for TensorRT: what needs headers of CUDA and TensorRT, the sampler's kernels, and the operator's plugin as
# part of the library.
if(NOT NVCC)
  find_program(NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin
               DOC "CUDA's compiler" REQUIRED)
endif()
set(FDCN_CUDA_ARCHITECTURES 75 80 86 89 90 100 120 CACHE STRING "What NVCC compiles for, of those that it knows")
include("${FDCN_ROOT}/plugins/native/nvcc.cmake")
fdcn_ask_nvcc("${FDCN_CUDA_ARCHITECTURES}")

# Compile a .cu file, and add it to targets. It is named among the objects, too, of which TARGET_OBJECTS leaves it out.
macro(fdcn_add_kernels file)
  get_filename_component(name "${file}" NAME_WE)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.cu.o")
  add_custom_command(
    OUTPUT "${object}"
    COMMAND "${NVCC}" -c "${file}" -o "${object}" -std=c++17 -O3 ${CUDA_CODE} --threads 0
            "-I$<JOIN:$<TARGET_PROPERTY:fdcn_settings,INTERFACE_INCLUDE_DIRECTORIES>,;-I>"
            "$<$<BOOL:${FDCN_WARNINGS_AS_ERRORS}>:-Werror;all-warnings;-Xcompiler=-Werror>"
            -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra -MD -MF "${object}.d"
    DEPFILE "${object}.d" DEPENDS "${file}" VERBATIM COMMAND_EXPAND_LISTS)
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  foreach(target IN ITEMS ${ARGN})
    target_sources(${target} PRIVATE "${object}")
  endforeach()
  list(APPEND FDCN_OBJECTS "${object}")
endmacro()

# Complete the part `fdcn_part_tensorrt`, whose files of src/tensorrt/ need none of this.
function(fdcn_add_tensorrt)
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/src/tensorrt")
  set(native "${FDCN_ROOT}/plugins/native")
  set_source_files_properties("${source}/absent.cpp" PROPERTIES HEADER_FILE_ONLY ON)
  file(GLOB sources CONFIGURE_DEPENDS "${source}/engine/*.cpp")
  target_sources(fdcn_part_tensorrt PRIVATE ${sources})

  # The plugin for whoever uses TensorRT; and as part of the library, under names of its own, since every library of
  # plugins is entered by getCreators and a program may be linked with several.
  add_library(fdcn_tensorrt SHARED "${native}/tensorrt_plugin.cpp")
  add_library(fdcn_part_plugin STATIC "${native}/tensorrt_plugin.cpp")
  target_compile_definitions(fdcn_part_plugin PRIVATE getCreators=embedded_plugin_creators
                             setLoggerFinder=embedded_plugin_logger fdcn_cuda_version=embedded_plugin_cuda)
  target_link_options(fdcn_tensorrt PRIVATE LINKER:--exclude-libs,ALL LINKER:--no-undefined $<$<CONFIG:Release>:-s>)
  foreach(target fdcn_part_plugin fdcn_tensorrt)
    target_compile_definitions(${target} PRIVATE FDCN_CUDA_VERSION=CUDART_VERSION)
  endforeach()

  fdcn_add_kernels("${source}/engine/kernels.cu" fdcn_part_tensorrt)
  fdcn_add_kernels("${native}/launch.cu" fdcn_part_plugin fdcn_tensorrt)
  foreach(target fdcn_part_tensorrt fdcn_part_plugin fdcn_tensorrt)
    target_include_directories(${target} SYSTEM PRIVATE "${CUDA_ROOT}/include" "${TensorRT_INCLUDE_DIR}")
    target_link_libraries(${target} PRIVATE fdcn_settings "${CUDART}" Threads::Threads ${CMAKE_DL_LIBS} rt)
  endforeach()
  target_link_libraries(fdcn_part_tensorrt PRIVATE fdcn_part_plugin TensorRT::TensorRT)
  set(FDCN_OBJECTS ${FDCN_OBJECTS} $<TARGET_OBJECTS:fdcn_part_plugin> PARENT_SCOPE)
  set(FDCN_NEEDS ${FDCN_NEEDS} TensorRT::TensorRT "${CUDART}" rt PARENT_SCOPE)
endfunction()
