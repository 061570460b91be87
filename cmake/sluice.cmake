# How a folder becomes a library or a test: the link lines are the floors.

# One flag set for all: floating point is never contracted or reordered behind our back, because a row's bits are a
# promise (ARCHITECTURE.md, "Batch invariance"); FMA is written where it is meant.
add_compile_options(-ffp-contract=off)
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
  if(SLUICE_SANITIZE MATCHES thread)
    # Stand-alone fences are not modelled by the thread sanitizer; g++ warns about those in CAF's headers.
    add_compile_options(-Wno-tsan)
  endif()
endif()

set(SLUICE_WARNINGS -Wall -Wextra -Wpedantic -Werror)

# Adds a folder of the tree.
function(sluice_folder name)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/CMakeLists.txt)
    add_subdirectory(${name})
  endif()
endfunction()

# One folder, one library. USES names the folders below it, LIBRARIES what it is the home of.
function(sluice_library name)
  cmake_parse_arguments(ARG "INTERFACE" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  if(ARG_INTERFACE)
    add_library(sluice_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(sluice_${name} STATIC ${ARG_SOURCES})
    target_compile_options(sluice_${name} PRIVATE ${SLUICE_WARNINGS})
    set(scope PUBLIC)
  endif()
  target_include_directories(sluice_${name} ${scope} ${PROJECT_SOURCE_DIR})
  add_library(sluice::${name} ALIAS sluice_${name})
  list(TRANSFORM ARG_USES PREPEND sluice::)
  target_link_libraries(sluice_${name} ${scope} ${ARG_USES} ${ARG_LIBRARIES})
endfunction()

# One executable of tests a folder; CTest lists each test as <folder>/Type.SentenceAboutBehaviour.
# MAIN replaces GoogleTest's main (tests of actors initialise CAF's meta objects in theirs). READS_TREE names the sources
# that look for files of the repository: only they are told where it lies, so that the others compile to the same bytes
# in every clone.
function(sluice_test name)
  cmake_parse_arguments(ARG "MAIN" "" "SOURCES;READS_TREE;USES;LIBRARIES" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_compile_options(${name}_test PRIVATE ${SLUICE_WARNINGS})
  set_source_files_properties(${ARG_READS_TREE} PROPERTIES
    COMPILE_DEFINITIONS SLUICE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  list(TRANSFORM ARG_USES PREPEND sluice::)
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR})
  if(ARG_MAIN)
    target_link_libraries(${name}_test PRIVATE ${ARG_USES} ${ARG_LIBRARIES} GTest::gmock GTest::gtest)
  else()
    target_link_libraries(${name}_test PRIVATE ${ARG_USES} ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main)
  endif()
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}/" DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
