# Headers that Python writes from the tables that both runtimes read: contract.h, messages.h, tables.h, unicode.h.
# Configuring writes them, and does so again when a source of theirs changes; Python needs no package for it.
set(FDCN_GENERATED "${CMAKE_CURRENT_BINARY_DIR}/generated")
set(fresh "${CMAKE_CURRENT_BINARY_DIR}/generating")
file(MAKE_DIRECTORY "${FDCN_GENERATED}" "${fresh}")
execute_process(COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/generate.py" "${fresh}"
                COMMAND_ERROR_IS_FATAL ANY)
file(GLOB headers RELATIVE "${fresh}" "${fresh}/*.h")
foreach(header IN LISTS headers)
  file(COPY_FILE "${fresh}/${header}" "${FDCN_GENERATED}/${header}" ONLY_IF_DIFFERENT)
endforeach()
set(sources __init__.py bundle.py gpu.py messages.py data/messages.json data/neural_solver.json data/solvers.json
            plugins/contract.py plugins/spec.py runtime/cpp/generate.py runtime/tables.py)
list(TRANSFORM sources PREPEND "${FDCN_ROOT}/")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})
