// What glibc declares with _GNU_SOURCE alone, which Swift's own module of it does not set.
#pragma once

#include <spawn.h>

int pipe2(int descriptors[2], int flags);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
