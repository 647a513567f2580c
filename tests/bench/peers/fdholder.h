/* A client of s6-fdholder-daemon, through s6's own library. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Connects this process to the daemon. Returns 0, or -1 with errno. */
int fdholder_connect(const char* path);
/* Stores a copy of the descriptor under the id. Returns 0, or -1 with errno. */
int fdholder_store(int fd, const char* id);
/* Returns a copy of the descriptor that is stored under the id, or -1 with errno. */
int fdholder_retrieve(const char* id);

#ifdef __cplusplus
}
#endif
