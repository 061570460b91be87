# What `make install` puts where: the program with its model, manual and service; the C++ client as a package that
# find_package(Sluice) and pkg-config find.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT server)
install(DIRECTORY models/shipped/brook DESTINATION ${CMAKE_INSTALL_DATADIR}/sluice/models/shipped
  COMPONENT server PATTERN training.log EXCLUDE)
install(FILES docs/man/sluice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT server)

# Where the program is that the service starts is known when it is installed.
install(CODE "set(SLUICE_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  configure_file(${PROJECT_SOURCE_DIR}/deploy/sluice.service ${PROJECT_BINARY_DIR}/install/sluice.service @ONLY)"
  COMPONENT server)
install(FILES ${PROJECT_BINARY_DIR}/install/sluice.service DESTINATION lib/systemd/system COMPONENT server)

install(TARGETS sluice_rpc_client EXPORT SluiceTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY clients/cpp/include/sluice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT SluiceTargets NAMESPACE Sluice:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sluice
  COMPONENT development)
configure_package_config_file(cmake/SluiceConfig.cmake.in ${PROJECT_BINARY_DIR}/install/SluiceConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sluice)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/install/SluiceConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/install/SluiceConfig.cmake ${PROJECT_BINARY_DIR}/install/SluiceConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Sluice COMPONENT development)
configure_file(cmake/sluice-client.pc.in ${PROJECT_BINARY_DIR}/install/sluice-client.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/install/sluice-client.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig COMPONENT development)
