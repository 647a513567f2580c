/* s6-fdholder-daemon, by s6's own library. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* One connection of this process. 0, or -1 with errno. */
int fdholder_connect(const char* path);
int fdholder_store(int fd, const char* id);
/* A descriptor, or -1 with errno. */
int fdholder_retrieve(const char* id);

#ifdef __cplusplus
}
#endif
