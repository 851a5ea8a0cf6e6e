enum { FILE_BYTES = 200000 };

// A file without a name, of bytes that differ from their neighbours.
static int32_t a_file(uint32_t slab) {
  int fd = memfd_create("file", MFD_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQUAL(write(fd, bytes_of(slab), FILE_BYTES), FILE_BYTES);
  return fd;
}

TEST("np_dup() makes another descriptor of the same open file, close-on-exec") {
  int fd = open("/proc/self/exe", O_RDONLY);
  int32_t other = np_dup(fd);
  CHECK(other >= 0 && other != fd);
  CHECK_EQUAL(fcntl(other, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  CHECK_EQUAL(lseek(fd, 7, SEEK_SET), 7);
  CHECK_EQUAL(lseek(other, 0, SEEK_CUR), 7);
  CHECK_EQUAL(close(fd), 0);
  CHECK_EQUAL(lseek(other, 0, SEEK_CUR), 7);
  CHECK_EQUAL(np_dup(fd), -EBADF);
}

TEST("np_stat() says what a descriptor is, and a size above 4 GiB in two halves") {
  uint32_t out[4] = {0, 0, 0, 7};
  int32_t fd = a_file(a_filled_slab());
  CHECK_EQUAL(np_stat(fd, out), 0);
  CHECK(S_ISREG(out[0]));
  CHECK_EQUAL(out[1], FILE_BYTES);
  CHECK_EQUAL(out[2], 0);
  CHECK_EQUAL(ftruncate(fd, (5LL << 32) + 3), 0);
  CHECK_EQUAL(np_stat(fd, out), 0);
  CHECK_EQUAL(out[1], 3);
  CHECK_EQUAL(out[2], 5);
  CHECK_EQUAL(out[3], 7);
  int32_t pair[2];
  make_pair(pair);
  CHECK_EQUAL(np_stat(pair[0], out), 0);
  CHECK(S_ISSOCK(out[0]));
  CHECK_EQUAL(np_stat(-1, out), -EBADF);
}

TEST("np_pread() reads at a position, and leaves the file's own alone") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t fd = a_file(slab);
  off_t before = lseek(fd, 0, SEEK_CUR);
  CHECK_EQUAL(np_pread(fd, to, 50, 100, 1000, 0), 100);
  CHECK(memcmp(bytes_of(to) + 50, bytes_of(slab) + 1000, 100) == 0);
  CHECK_EQUAL(np_pread(fd, to, 0, 100, FILE_BYTES - 30, 0), 30);
  CHECK_EQUAL(np_pread(fd, to, 0, 100, FILE_BYTES, 0), 0);
  CHECK_EQUAL(np_pread(fd, to, 0, 100, 0, 1), 0);
  CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), before);
  CHECK_EQUAL(np_pread(fd, to, HUGE_PAGE_BYTES - 1, 2, 0, 0), -EFAULT);
  CHECK_EQUAL(np_pread(fd, SLABS_MAX, 0, 1, 0, 0), -EFAULT);
  CHECK_EQUAL(np_pread(fd, to, 0, 1, 0, UINT32_MAX), -EINVAL);
  int32_t pair[2];
  make_pair(pair);
  CHECK_EQUAL(np_pread(pair[0], to, 0, 1, 0, 0), -ESPIPE);
}

TEST("np_pwrite() writes at a position, above 4 GiB too, and leaves the file's own alone") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t fd = a_file(slab), pair[2];
  off_t before = lseek(fd, 0, SEEK_CUR);
  CHECK_EQUAL(np_pwrite(fd, slab, 500, 100, 7, 0), 100);
  CHECK_EQUAL(np_pread(fd, to, 0, 100, 7, 0), 100);
  CHECK(memcmp(bytes_of(to), bytes_of(slab) + 500, 100) == 0);
  CHECK_EQUAL(np_pwrite(fd, slab, 0, 10, 1, 5), 10);
  CHECK_EQUAL(lseek(fd, 0, SEEK_END), (5LL << 32) + 11);
  CHECK_EQUAL(lseek(fd, before, SEEK_SET), before);
  CHECK_EQUAL(np_pwrite(fd, slab, 0, 0, 0, 0), 0);
  CHECK_EQUAL(np_pwrite(fd, to, HUGE_PAGE_BYTES - 1, 2, 0, 0), -EFAULT);
  CHECK_EQUAL(np_pwrite(fd, SLABS_MAX, 0, 1, 0, 0), -EFAULT);
  CHECK_EQUAL(np_pwrite(fd, to, 0, 1, 0, UINT32_MAX), -EINVAL);
  make_pair(pair);
  CHECK_EQUAL(np_pwrite(pair[0], to, 0, 1, 0, 0), -ESPIPE);
}

TEST("np_splice_file() moves bytes from a pipe to a position of a file, above 4 GiB too") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t fd = memfd_create("file", 0), from[2], ends[2];
  connect_tcp(from);
  CHECK_EQUAL(np_pipe(ends), 0);
  CHECK_EQUAL(np_splice_file(ends[0], fd, 0, 0, 100), -EAGAIN);
  CHECK_EQUAL(np_send(from[0], slab, 0, 5000, 0), 5000);
  await(from[1], POLLIN);
  CHECK_EQUAL(np_splice(from[1], ends[1], 5000), 5000);
  CHECK_EQUAL(np_splice_file(ends[0], fd, 3, 0, 3000), 3000);
  CHECK_EQUAL(np_splice_file(ends[0], fd, 1, 5, 3000), 2000);
  CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 0);
  CHECK_EQUAL(np_pread(fd, to, 0, 3000, 3, 0), 3000);
  CHECK(memcmp(bytes_of(to), bytes_of(slab), 3000) == 0);
  CHECK_EQUAL(np_pread(fd, to, 0, 3000, 1, 5), 2000);
  CHECK(memcmp(bytes_of(to), bytes_of(slab) + 3000, 2000) == 0);
}

TEST("np_sendfile() sends from a position, above 4 GiB too, and leaves the file's own alone") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t fd = a_file(slab), pair[2];
  make_pair(pair);
  off_t before = lseek(fd, 0, SEEK_CUR);
  CHECK_EQUAL(np_sendfile(pair[0], fd, 1000, 0, 500), 500);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 1000), 500);
  CHECK(memcmp(bytes_of(to), bytes_of(slab) + 1000, 500) == 0);
  CHECK_EQUAL(np_sendfile(pair[0], fd, FILE_BYTES - 10, 0, 500), 10);
  CHECK_EQUAL(np_sendfile(pair[0], fd, FILE_BYTES, 0, 500), 0);
  CHECK_EQUAL(pwrite(fd, "far", 3, (5LL << 32) + 1), 3);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 1000), 10);
  CHECK_EQUAL(np_sendfile(pair[0], fd, 1, 5, 500), 3);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 1000), 3);
  CHECK(memcmp(bytes_of(to), "far", 3) == 0);
  CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), before);
}

TEST("np_sendfile() is short when the socket is full, and then -EAGAIN") {
  uint32_t slab = a_filled_slab();
  int32_t fd = memfd_create("file", 0), pair[2];
  CHECK_EQUAL(ftruncate(fd, 64 << 20), 0);
  make_pair(pair);
  int32_t sent = np_sendfile(pair[0], fd, 0, 0, 64 << 20);
  CHECK(sent > 0 && sent < 64 << 20);
  CHECK_EQUAL(np_sendfile(pair[0], fd, 0, 0, 1), -EAGAIN);
  signal(SIGPIPE, SIG_IGN);
  np_close(pair[1]);
  CHECK_EQUAL(np_sendfile(pair[0], fd, 0, 0, 1), -EPIPE);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), -EPIPE);
}

TEST("np_pipe() makes a pipe, non-blocking and close-on-exec, and np_pipe_resize() makes it larger") {
  int32_t ends[2];
  CHECK_EQUAL(np_pipe(ends), 0);
  check_flags(ends[0]);
  check_flags(ends[1]);
  CHECK_EQUAL(np_pipe_resize(ends[1], 128 << 10), 128 << 10);
  CHECK_EQUAL(fcntl(ends[0], F_GETPIPE_SZ), 128 << 10);
  CHECK_EQUAL(np_pipe_resize(-1, 4096), -EBADF);
}

TEST("np_splice() moves bytes from a socket through a pipe to a socket") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t from[2], into[2], ends[2];
  connect_tcp(from);
  connect_tcp(into);
  CHECK_EQUAL(np_pipe(ends), 0);
  CHECK_EQUAL(np_splice(from[1], ends[1], 1000), -EAGAIN);
  CHECK_EQUAL(np_send(from[0], slab, 0, 5000, 0), 5000);
  await(from[1], POLLIN);
  CHECK_EQUAL(np_splice(from[1], ends[1], 3000), 3000);
  CHECK_EQUAL(np_splice(ends[0], into[0], 3000), 3000);
  await(into[1], POLLIN);
  CHECK_EQUAL(np_recv(into[1], to, 0, 10000), 3000);
  CHECK(memcmp(bytes_of(to), bytes_of(slab), 3000) == 0);
  CHECK_EQUAL(np_splice(ends[0], into[0], 1), -EAGAIN);
  CHECK_EQUAL(np_splice(from[1], ends[1], 3000), 2000);
  CHECK_EQUAL(np_shutdown(from[0], 1), 0);
  await(from[1], POLLRDHUP);
  CHECK_EQUAL(np_splice(from[1], ends[1], 3000), 0);
  CHECK_EQUAL(np_splice(from[1], into[0], 1), -EINVAL);
}

#ifdef NP_FAULTS
TEST("np_fault() fails and shortens the calls on files and pipes") {
  uint32_t slab = a_filled_slab(), to = a_slab();
  int32_t fd = a_file(slab), pair[2], ends[2];
  make_pair(pair);
  CHECK_FAILS_ONCE(FAULT_FCNTL, np_dup(0));
  CHECK_FAILS_ONCE(FAULT_PIPE, np_pipe(ends));
  CHECK_FAILS_ONCE(FAULT_PREAD, np_pread(fd, to, 0, 1, 0, 0));
  CHECK_FAILS_ONCE(FAULT_PWRITE, np_pwrite(fd, to, 0, 1, 0, 0));
  CHECK_FAILS_ONCE(FAULT_SPLICE_FILE, np_splice_file(ends[0], fd, 0, 0, 1));
  CHECK_FAILS_ONCE(FAULT_SENDFILE, np_sendfile(pair[0], fd, 0, 0, 1));
  CHECK_FAILS_ONCE(FAULT_SPLICE, np_splice(pair[1], ends[1], 1));
  CHECK_EQUAL(np_fault(FAULT_PREAD, ANY, 0, 1, 7), 0);
  CHECK_EQUAL(np_pread(fd, to, 0, 100, 0, 0), 7);
  CHECK_EQUAL(np_fault(FAULT_PWRITE, ANY, 0, 1, 7), 0);
  CHECK_EQUAL(np_pwrite(fd, to, 0, 100, 0, 0), 7);
  CHECK_EQUAL(np_fault(FAULT_SENDFILE, pair[0], 0, 1, 7), 0);
  CHECK_EQUAL(np_sendfile(pair[0], fd, 0, 0, 100), 7);
  CHECK_EQUAL(np_fault(FAULT_SPLICE, pair[1], 0, 1, 5), 0);
  CHECK_EQUAL(np_splice(pair[1], ends[1], 100), 5);
}
#endif

static void *open_and_end(void *argument) {
  int32_t ends[2];
  CHECK(np_dup(0) >= 0);
  CHECK_EQUAL(np_pipe(ends), 0);
  return argument;
}

TEST("np_owner: the end of a thread closes its files and its pipes") {
  int fds = open_fds();
  in_a_thread(open_and_end, NULL);
  CHECK_EQUAL(open_fds(), fds);
}
