# The kernels of the GPU and their Python module, _cuda. Emulated, the same sources are compiled for
# the CPU: what the tests run where there is no GPU.
set(cuda_sources
  cuda/forward_bfloat16.cu
  cuda/forward_float16.cu
  cuda/forward_float32.cu
  cuda/run.cu)

# A library of the kernels, run by the CPU.
function(normfast_emulated_cuda target)
  list(TRANSFORM cuda_sources PREPEND ${PROJECT_SOURCE_DIR}/cpp/ OUTPUT_VARIABLE sources)
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CXX)
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${sources}
    ${PROJECT_SOURCE_DIR}/cpp/cuda/api.cpp
    ${PROJECT_SOURCE_DIR}/cpp/cuda/plan.cpp
    ${PROJECT_SOURCE_DIR}/cpp/cuda/emulation/device.cpp
    ${PROJECT_SOURCE_DIR}/cpp/cuda/emulation/simt.cpp)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/cpp ${PROJECT_SOURCE_DIR}/cpp/src)
  target_compile_definitions(${target} PUBLIC NORMFAST_CUDA_EMULATED)
  target_link_libraries(${target} PUBLIC normfast)
  normfast_settings(${target})
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas)
endfunction()

set(NORMFAST_CUDA_BUILT OFF)
if(NORMFAST_CUDA STREQUAL "EMULATED")
  normfast_emulated_cuda(normfast_cuda)
  set(NORMFAST_CUDA_BUILT ON)
elseif(NORMFAST_CUDA AND (NORMFAST_PYTHON OR NORMFAST_CUDA STREQUAL "ON"))
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # What a user builds for himself takes minutes for each: two, and the code that newer ones
    # translate when they load it.
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
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
    add_library(normfast_cuda STATIC ${cuda_sources} cuda/api.cpp cuda/device.cu cuda/plan.cpp)
    target_include_directories(normfast_cuda PUBLIC . src)
    target_link_libraries(normfast_cuda PUBLIC normfast)
    target_compile_definitions(normfast_cuda PRIVATE
      NORMFAST_CUDA_BUILT="${CMAKE_CUDA_ARCHITECTURES}")
    target_compile_options(normfast_cuda PRIVATE
      # Functions that the host shares are constexpr. Nothing contracts, as on the host.
      $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-fmad=false;-Xcompiler=-Wall,-Wextra>
      $<$<AND:$<BOOL:${NORMFAST_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings>
      $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-ffp-contract=off>)
    set(NORMFAST_CUDA_BUILT ON)
  elseif(NORMFAST_CUDA STREQUAL "ON")
    message(FATAL_ERROR "NORMFAST_CUDA is ON, and CMake finds no CUDA compiler (CMAKE_CUDA_COMPILER)")
  else()
    message(STATUS "No CUDA compiler was found: no kernels for GPUs")
  endif()
endif()

if(NORMFAST_CUDA_BUILT AND NORMFAST_PYTHON)
  normfast_python_module(_cuda
    bindings/arguments.cpp bindings/buffers.cpp bindings/cuda_module.cpp bindings/dlpack.cpp)
  target_link_libraries(_cuda PRIVATE normfast_cuda)
endif()
