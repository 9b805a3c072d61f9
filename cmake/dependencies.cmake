# What mtc builds on.  Required: flex, bison, jansson, zlib, libzip,
# Random123, uthash.  CUDA is used when nvcc is there.
find_package(FLEX 2.6 REQUIRED)
find_package(BISON 3.7 REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
set(MTRT_DEPENDS PkgConfig::JANSSON PkgConfig::ZLIB PkgConfig::LIBZIP)

find_path(RANDOM123_INCLUDE Random123/philox.h REQUIRED)
find_path(UTHASH_INCLUDE uthash.h REQUIRED)

include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
  enable_language(CUDA)
else()
  message(STATUS "no CUDA compiler: the CUDA runtime is left out")
endif()
