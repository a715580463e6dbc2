# Headers, both kinds of the library, libfdcn_ops.so, and what find_package and pkg-config read.
include(CMakePackageConfigHelpers)
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/fdcn")

# Libraries of other projects are looked for beside this one, unless whoever packages it says where. A folder of the
# build machine is named by request alone; CMake's own doing leaves out those in the source tree, as FDCN_DEPS is.
if(DEFINED CMAKE_INSTALL_RPATH)
  set(rpath "${CMAKE_INSTALL_RPATH}")
else()
  set(rpath "$ORIGIN")
endif()
if(CMAKE_INSTALL_RPATH_USE_LINK_PATH)
  foreach(library IN ITEMS ${ONNXRuntime_LIBRARY} ${TensorRT_LIBRARY})
    get_filename_component(folder "${library}" DIRECTORY)
    if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
      list(APPEND rpath "${folder}")
    endif()
  endforeach()
endif()
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

# What the static library needs, by what was found. Not Requires.private: whoever links with the shared one would need
# the .pc files of all of it.
foreach(library IN ITEMS ${PNG_LIBRARIES} ${OPENSSL_CRYPTO_LIBRARIES} ${ONNXRuntime_LIBRARY} ${TensorRT_LIBRARY}
                         ${CUDART})
  get_filename_component(folder "${library}" DIRECTORY)
  if(folder AND NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    string(REPLACE " " "\\ " folder "${folder}")
    string(APPEND private " -L${folder}")
  endif()
  if(library MATCHES "/lib([^/]+)\\.(so|a)$")
    string(APPEND private " -l${CMAKE_MATCH_1}")
  elseif(library MATCHES "/([^/]+)$")  # under its full name alone, as in a package for Python
    string(APPEND private " -l:${CMAKE_MATCH_1}")
  endif()
endforeach()
# In an installation that is moved the paths are right still, unless they were to be absolute. pkg-config's own
# variable has its blanks escaped.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  string(REPLACE " " "\\ " prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(prefix "\${pcfiledir}/${up}")
endif()
foreach(kind LIB INCLUDE)
  string(REPLACE " " "\\ " ${kind} "${CMAKE_INSTALL_${kind}DIR}")
  if(NOT IS_ABSOLUTE "${${kind}}")
    string(PREPEND ${kind} "\${prefix}/")
  endif()
endforeach()
configure_file(cmake/fdcn.pc.in fdcn.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/fdcn.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
