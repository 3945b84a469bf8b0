# The kernels of the GPU and their Python module, _cuda. Emulated, the same sources are compiled for
# the CPU: what the tests run where there is no GPU.
set(normfast_cuda_sources bfloat16 float16 float32)
list(TRANSFORM normfast_cuda_sources REPLACE "(.+)" "${CMAKE_CURRENT_SOURCE_DIR}/cuda/forward_\\1.cu")
list(APPEND normfast_cuda_sources
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda/api.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda/plan.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda/run.cu)
set(normfast_cuda_sources ${normfast_cuda_sources} CACHE INTERNAL "")

# A library of the kernels, run by the CPU.
function(normfast_emulated_cuda target)
  set(cpp ${PROJECT_SOURCE_DIR}/cpp)
  set_source_files_properties(${normfast_cuda_sources} PROPERTIES LANGUAGE CXX)
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${normfast_cuda_sources}
    ${cpp}/cuda/emulation/device.cpp ${cpp}/cuda/emulation/simt.cpp)
  target_include_directories(${target} PUBLIC ${cpp} ${cpp}/src)
  target_compile_definitions(${target} PUBLIC NORMFAST_CUDA_EMULATED)
  target_link_libraries(${target} PUBLIC normfast)
  normfast_settings(${target})
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas)
endfunction()

set(builds_cuda OFF)
if(NORMFAST_CUDA STREQUAL "EMULATED")
  normfast_emulated_cuda(normfast_cuda)
  set(builds_cuda ON)
elseif(NORMFAST_CUDA AND (NORMFAST_PYTHON OR NORMFAST_CUDA STREQUAL "ON"))
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # Each takes half a minute of a user's install: one, with the code that drivers of newer GPUs
    # translate when they first load it.
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has it
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    add_library(normfast_cuda STATIC ${normfast_cuda_sources} cuda/device.cu)
    target_include_directories(normfast_cuda PUBLIC . src)
    target_link_libraries(normfast_cuda PUBLIC normfast)
    list(JOIN CMAKE_CUDA_ARCHITECTURES "," architectures)
    set_source_files_properties(cuda/device.cu PROPERTIES
      COMPILE_DEFINITIONS NORMFAST_CUDA_BUILT="${architectures}")
    target_compile_options(normfast_cuda PRIVATE
      # Functions that the host shares are constexpr. Nothing contracts, as on the host.
      "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-fmad=false;-Xcompiler=-Wall,-Wextra>"
      $<$<AND:$<BOOL:${NORMFAST_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings>
      "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-ffp-contract=off>")
    set(builds_cuda ON)
  elseif(NORMFAST_CUDA STREQUAL "ON")
    message(FATAL_ERROR "NORMFAST_CUDA is ON, and CMake finds no CUDA compiler (CMAKE_CUDA_COMPILER)")
  else()
    message(STATUS "No CUDA compiler was found: no kernels for GPUs")
  endif()
endif()

if(builds_cuda AND NORMFAST_PYTHON)
  normfast_python_module(_cuda bindings/cuda_module.cpp)
  target_link_libraries(_cuda PRIVATE normfast_cuda)
endif()
