# Compiler settings of every target of this project. Results are promised to the bit, so nothing may
# contract, reassociate or approximate floating-point arithmetic.
function(normfast_settings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 /fp:precise)
  else()
    # errno and exception flags are not results: without them roots and selections vectorise.
    target_compile_options(${target} PRIVATE -Wall -Wextra -ffp-contract=off -fno-math-errno
                                             -fno-trapping-math)
  endif()
  if(NORMFAST_WERROR)
    target_compile_options(${target} PRIVATE $<IF:$<CXX_COMPILER_ID:MSVC>,/WX,-Werror>)
  endif()
endfunction()
