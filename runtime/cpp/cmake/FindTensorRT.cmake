# TensorRT, or TensorRT-RTX: TensorRT::TensorRT, TensorRT_VERSION, and TensorRT_FLAVOUR, which is "enterprise" or "rtx".
#
# In TENSORRT_ROOT alone (a variable of CMake or of the environment: the folder of NVIDIA's package), or else in the
# system's folders.
set(root "${TENSORRT_ROOT}")
if(NOT root)
  set(root "$ENV{TENSORRT_ROOT}")
endif()
if(root)
  set(where HINTS "${root}" NO_DEFAULT_PATH)
else()
  set(where PATHS /usr/local/tensorrt)
endif()
find_path(TensorRT_INCLUDE_DIR NvInferRuntime.h ${where}
          PATH_SUFFIXES include include/x86_64-linux-gnu include/aarch64-linux-gnu .)
# A package for Python has the library under its full name alone.
find_library(TensorRT_LIBRARY NAMES nvinfer libnvinfer.so.11 libnvinfer.so.10 tensorrt_rtx libtensorrt_rtx.so.1 ${where}
             PATH_SUFFIXES lib lib/x86_64-linux-gnu lib/aarch64-linux-gnu .)
if(TensorRT_INCLUDE_DIR)
  file(STRINGS "${TensorRT_INCLUDE_DIR}/NvInferVersion.h" lines REGEX "#define [A-Z_]+ +[0-9]")
  foreach(part MAJOR MINOR PATCH)
    string(REGEX MATCH "(NV_TENSORRT|TRT)_${part}[A-Z_]* +([0-9]+)" found "${lines}")
    list(APPEND version ${CMAKE_MATCH_2})
  endforeach()
  list(JOIN version . TensorRT_VERSION)
  if(lines MATCHES "TRT_MAJOR_RTX")
    set(TensorRT_FLAVOUR rtx)
  else()
    set(TensorRT_FLAVOUR enterprise)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT
  REQUIRED_VARS TensorRT_LIBRARY TensorRT_INCLUDE_DIR VERSION_VAR TensorRT_VERSION
  REASON_FAILURE_MESSAGE "set TENSORRT_ROOT to the folder of NVIDIA's package")
if(TensorRT_FOUND AND NOT TARGET TensorRT::TensorRT)
  add_library(TensorRT::TensorRT UNKNOWN IMPORTED)
  set_target_properties(TensorRT::TensorRT PROPERTIES
    IMPORTED_LOCATION "${TensorRT_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${TensorRT_INCLUDE_DIR}")
endif()
mark_as_advanced(TensorRT_INCLUDE_DIR TensorRT_LIBRARY)
