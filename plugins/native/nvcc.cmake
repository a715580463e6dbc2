# What the program NVCC brings, and what it compiles for. Not CMake's own support of CUDA: that does not find its way in
# pip's packages of nvcc.

# Set CUDA_ROOT, the folder of CUDA; CUDART, its library; and CUDA_CODE, options of NVCC: machine code for each of the
# architectures that it knows, and PTX of the newest, which drivers of newer GPUs finish.
function(fdcn_ask_nvcc architectures)
  get_filename_component(root "${NVCC}" REALPATH)
  get_filename_component(root "${root}/../.." ABSOLUTE)
  find_library(CUDART cudart_static PATHS "${root}" NO_DEFAULT_PATH REQUIRED
               PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib)
  execute_process(COMMAND "${NVCC}" --list-gpu-arch OUTPUT_VARIABLE known COMMAND_ERROR_IS_FATAL ANY)
  set(newest)
  set(code)
  foreach(architecture IN LISTS architectures)
    if(known MATCHES "compute_${architecture}\n")
      set(newest ${architecture})
      list(APPEND code -gencode=arch=compute_${architecture},code=sm_${architecture})
    endif()
  endforeach()
  if(NOT newest)
    message(FATAL_ERROR "${NVCC} compiles for none of ${architectures}")
  endif()
  list(APPEND code -gencode=arch=compute_${newest},code=compute_${newest})
  set(CUDA_ROOT "${root}" PARENT_SCOPE)
  set(CUDA_CODE ${code} PARENT_SCOPE)
endfunction()
