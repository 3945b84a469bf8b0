# Fails where an object file compiled for one ISA defines a symbol other than its table. The linker
# would take such a symbol (an inline function, say) for everyone's, and run it on any processor.
# Run as: cmake -DNM=nm -DOBJECT=file.o -P symbols.cmake
execute_process(
  COMMAND ${NM} --defined-only --extern-only --format=posix ${OBJECT}
  OUTPUT_VARIABLE output
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${output}")
set(table "^(__odr_asan[._])?_ZN8normfast[^ ]*[0-9]k(Kernels|Probe)[A-Z]")  # or the sanitizer's mark of it
set(found FALSE)
foreach(line IN LISTS lines)
  if(line MATCHES "${table}")
    set(found TRUE)
  else()
    string(APPEND leaks "\n  ${line}")
  endif()
endforeach()
if(NOT found)
  message(FATAL_ERROR "${OBJECT} does not define a table:\n${output}")
endif()
if(leaks)
  message(FATAL_ERROR "${OBJECT} leaks:${leaks}")
endif()
