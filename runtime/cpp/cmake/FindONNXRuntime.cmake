# ONNX Runtime's C++ API and its library: ONNXRuntime::ONNXRuntime.
#
# In ONNXRUNTIME_ROOT alone (a variable of CMake or of the environment: the folder of a release), or else in the
# system's folders, or else where scripts/fetch_headers.py puts it.
set(root "${ONNXRUNTIME_ROOT}")
if(NOT root)
  set(root "$ENV{ONNXRUNTIME_ROOT}")
endif()
if(root)
  set(where HINTS "${root}" NO_DEFAULT_PATH)
elseif(FDCN_DEPS)
  set(where PATHS "${FDCN_DEPS}/onnxruntime-cpp")
else()
  set(where)
endif()
find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_cxx_api.h ${where}
          PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session onnxruntime)
find_library(ONNXRuntime_LIBRARY onnxruntime ${where} PATH_SUFFIXES lib lib64)
if(ONNXRuntime_INCLUDE_DIR)
  file(STRINGS "${ONNXRuntime_INCLUDE_DIR}/onnxruntime_c_api.h" line REGEX "#define ORT_API_VERSION ")
  string(REGEX MATCH "[0-9]+" ONNXRuntime_API "${line}")
  set(ONNXRuntime_VERSION "1.${ONNXRuntime_API}")  # of the headers; the library may be newer
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ONNXRuntime
  REQUIRED_VARS ONNXRuntime_LIBRARY ONNXRuntime_INCLUDE_DIR VERSION_VAR ONNXRuntime_VERSION
  REASON_FAILURE_MESSAGE "set ONNXRUNTIME_ROOT to the folder of one of ONNX Runtime's releases")
if(ONNXRuntime_FOUND AND NOT TARGET ONNXRuntime::ONNXRuntime)
  add_library(ONNXRuntime::ONNXRuntime UNKNOWN IMPORTED)
  set_target_properties(ONNXRuntime::ONNXRuntime PROPERTIES
    IMPORTED_LOCATION "${ONNXRuntime_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${ONNXRuntime_INCLUDE_DIR}")
endif()
mark_as_advanced(ONNXRuntime_INCLUDE_DIR ONNXRuntime_LIBRARY)
