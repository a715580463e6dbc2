# What every part of the library is compiled with.
add_library(fdcn_settings INTERFACE)
target_include_directories(fdcn_settings INTERFACE include src "${FDCN_ROOT}/runtime" "${FDCN_ROOT}/plugins/native"
                           "${FDCN_GENERATED}")
target_include_directories(fdcn_settings SYSTEM INTERFACE "${NLOHMANN_JSON_INCLUDE}")
# native/advance.h: NumPy rounds every product.
target_compile_options(fdcn_settings INTERFACE -Wall -Wextra -ffp-contract=off
                       $<$<BOOL:${FDCN_WARNINGS_AS_ERRORS}>:-Werror>)
target_compile_definitions(fdcn_settings INTERFACE FDCN_VERSION="${FDCN_VERSION}"
                           $<$<BOOL:${FDCN_ONNXRUNTIME}>:FDCN_WITH_ONNXRUNTIME>
                           $<$<BOOL:${FDCN_TENSORRT}>:FDCN_WITH_TENSORRT>)
if(FDCN_FUZZ)
  target_compile_options(fdcn_settings INTERFACE -g -fsanitize=fuzzer-no-link,address,undefined
                         -fno-sanitize-recover=undefined)
  target_link_options(fdcn_settings INTERFACE -fsanitize=address,undefined)
endif()
