# Headers, both kinds of the library, libfdcn_ops.so, and what find_package and pkg-config read.
include(CMakePackageConfigHelpers)
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/fdcn")

# Libraries of other projects are looked for beside this one, and then where they were when it was built.
set(rpath "$ORIGIN")
foreach(library IN ITEMS ${ONNXRuntime_LIBRARY} ${TensorRT_LIBRARY})
  get_filename_component(folder "${library}" DIRECTORY)
  if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND rpath "${folder}")
  endif()
endforeach()
set_target_properties(fdcn PROPERTIES INSTALL_RPATH "${rpath}")

install(DIRECTORY include/fdcn DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS fdcn EXPORT fdcn-shared)
install(TARGETS fdcn_static EXPORT fdcn-static)
foreach(kind shared static)
  install(EXPORT fdcn-${kind} DESTINATION "${package}" NAMESPACE fdcn::)
endforeach()
foreach(plugin fdcn_ops fdcn_tensorrt)
  if(TARGET ${plugin})
    install(TARGETS ${plugin} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  endif()
endforeach()

configure_package_config_file(cmake/fdcn-config.cmake.in fdcn-config.cmake INSTALL_DESTINATION "${package}"
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(fdcn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fdcn-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/fdcn-config-version.cmake"
              cmake/FindONNXRuntime.cmake cmake/FindTensorRT.cmake DESTINATION "${package}")

foreach(library IN ITEMS ${ONNXRuntime_LIBRARY} ${TensorRT_LIBRARY})
  string(APPEND private " ${library}")
endforeach()
file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
string(REGEX REPLACE "/$" "" up "${up}")
configure_file(cmake/fdcn.pc.in fdcn.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fdcn.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
