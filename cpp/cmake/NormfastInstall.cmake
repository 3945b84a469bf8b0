# The library for others: headers, archive, a CMake package and a pkg-config file, all of which find
# one another from where they lie, so that the tree may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS normfast EXPORT normfast-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT devel
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT devel)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/normfast)
configure_package_config_file(cmake/normfast-config.cmake.in normfast-config.cmake
  INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(normfast-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT normfast-targets NAMESPACE normfast:: DESTINATION ${package_dir} COMPONENT devel)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/normfast-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/normfast-config-version.cmake
  DESTINATION ${package_dir} COMPONENT devel)

# What pkg-config says of an archive, its users must link.
set(pc_cflags "")
set(pc_libs "")
if(type STREQUAL "SHARED_LIBRARY")
  set(pc_cflags " -DNORMFAST_SHARED")
else()
  if(OpenMP_CXX_FOUND)
    string(APPEND pc_libs " ${OpenMP_CXX_FLAGS}")
  endif()
  if(APPLE)
    string(APPEND pc_libs " -lc++")
  else()
    string(APPEND pc_libs " -lstdc++ -lm ${CMAKE_THREAD_LIBS_INIT}")
  endif()
endif()
file(RELATIVE_PATH pc_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
configure_file(cmake/normfast.pc.in normfast.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/normfast.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT devel)
