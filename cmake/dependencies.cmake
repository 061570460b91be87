# Every library Sluice stands on, its version and where it comes from. scripts/setup installs them all and prints the
# prefix of those that are not plain Debian packages (CAF, msgpack-cxx); the presets pass it on.
if(NOT SLUICE_DEPENDENCIES)
  set(flavour release)
  if(SLUICE_SANITIZE MATCHES thread)
    set(flavour tsan)  # CAF itself has to be instrumented
  endif()
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/setup ${flavour}
    OUTPUT_VARIABLE prefixes OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "scripts/setup ${flavour} failed; its reason stands above")
  endif()
  set(SLUICE_DEPENDENCIES "${prefixes}" CACHE STRING "Prefixes of the dependencies built by scripts/setup")
endif()
list(APPEND CMAKE_PREFIX_PATH ${SLUICE_DEPENDENCIES})

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths inside the clone count as relative, so that another clone finds what this one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CAF CONFIG REQUIRED COMPONENTS core)
if(CAF_VERSION VERSION_LESS 0.18.7 OR NOT CAF_VERSION VERSION_LESS 0.19)
  message(FATAL_ERROR "Sluice needs CAF 0.18.7, found ${CAF_VERSION}; see scripts/get-caf.sh")
endif()
find_package(Boost 1.81 REQUIRED COMPONENTS json)        # Beast (header only) and JSON
find_package(CLI11 2.1 REQUIRED)
find_package(fmt 9.1 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(tomlplusplus 3.3 REQUIRED)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.42)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc>=2.6)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8.1)
if(NOT SLUICE_SANITIZE)  # they bring an allocator of their own
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc>=5.2)
endif()
find_path(MSGPACK_INCLUDE msgpack.hpp PATHS ${SLUICE_DEPENDENCIES} PATH_SUFFIXES include REQUIRED)
add_library(msgpack-cxx INTERFACE)
target_include_directories(msgpack-cxx SYSTEM INTERFACE ${MSGPACK_INCLUDE})
target_link_libraries(msgpack-cxx INTERFACE Boost::headers)

if(SLUICE_TESTS)
  find_package(GTest 1.12 REQUIRED)
  find_package(benchmark 1.7 REQUIRED)
  include(GoogleTest)
endif()
