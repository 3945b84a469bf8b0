/* What a shared normfast shows. The library hides everything else; an archive hides all of it. */
#ifndef NORMFAST_EXPORT_H
#define NORMFAST_EXPORT_H

#if !defined(NORMFAST_SHARED)
#define NORMFAST_API
#elif !defined(_WIN32)
#define NORMFAST_API __attribute__((visibility("default")))
#elif defined(NORMFAST_BUILDING)
#define NORMFAST_API __declspec(dllexport)
#else
#define NORMFAST_API __declspec(dllimport)
#endif

#endif
