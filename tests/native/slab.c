TEST("np_abi() is the number that ffi/symbols.ts expects") {
  CHECK_EQUAL(np_abi(), 12);
}

TEST("np_slab_map() maps zeroed memory, aligned to 2 MiB, under consecutive numbers") {
  for (uint32_t slab = 0; slab < 8; slab++) {
    uint32_t bytes = HUGE_PAGE_BYTES * (slab % 3 + 1);
    CHECK_EQUAL(np_slab_map(bytes), slab);
    uint8_t *base = bytes_of(slab);
    CHECK_EQUAL((uintptr_t)base % HUGE_PAGE_BYTES, 0);
    for (uint32_t at = 0; at < bytes; at += 4096) CHECK_EQUAL(base[at], 0);
    memset(base, 0xff, bytes);  // all of it is writable
  }
}

TEST("np_slab_map() unmaps what it took for alignment") {
  struct rlimit before, limit;
  a_slab();
  CHECK_EQUAL(getrlimit(RLIMIT_AS, &before), 0);
  limit = before;
  // 64 slabs need 128 MiB; with 2 MiB more for each they would need 256.
  FILE *sizes = fopen("/proc/self/statm", "r");
  CHECK(sizes);
  unsigned long pages;
  CHECK_EQUAL(fscanf(sizes, "%lu", &pages), 1);
  fclose(sizes);
  limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (192 << 20);
  CHECK_EQUAL(setrlimit(RLIMIT_AS, &limit), 0);
  for (int n = 0; n < 64; n++) CHECK(np_slab_map(HUGE_PAGE_BYTES) >= 0);
  CHECK_EQUAL(setrlimit(RLIMIT_AS, &before), 0);
}

TEST("np_slab_map() is -EINVAL for sizes that are no multiple of 2 MiB or do not fit a result") {
  CHECK_EQUAL(np_slab_map(0), -EINVAL);
  CHECK_EQUAL(np_slab_map(4096), -EINVAL);
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES + 1), -EINVAL);
  CHECK_EQUAL(np_slab_map(UINT32_MAX), -EINVAL);
  CHECK_EQUAL(np_slab_map(0x80000000), -EINVAL);
  CHECK_EQUAL(np_slab_map(0xffe00000), -EINVAL);
  CHECK_EQUAL(np_slab_map(0x80000000 - HUGE_PAGE_BYTES), 0);
}

TEST("np_slab_map() is -ENOMEM when the table is full, and maps nothing") {
  static uint8_t memory[1];
  while (np_slab_register(memory, 1) >= 0) {}
  CHECK_EQUAL(np_slab_register(memory, 1), -ENOMEM);
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES), -ENOMEM);
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES), -ENOMEM);
  CHECK(np_slab_address(SLABS_MAX - 1) == memory);
}

TEST("np_slab_register() makes the caller's memory a slab of exactly that size") {
  static uint8_t memory[100];
  int32_t slab = np_slab_register(memory, sizeof memory);
  CHECK(slab >= 0);
  CHECK(np_slab_address((uint32_t)slab) == memory);
  CHECK(piece((uint32_t)slab, 99, 1) == memory + 99);
  CHECK(!piece((uint32_t)slab, 99, 2));
}

TEST("np_slab_register() is -EINVAL for no memory, and takes no number for it") {
  static uint8_t memory[1];
  CHECK_EQUAL(np_slab_register(NULL, 1), -EINVAL);
  CHECK_EQUAL(np_slab_register(memory, 0), -EINVAL);
  CHECK_EQUAL(np_slab_register(memory, 0x80000000), -EINVAL);
  CHECK_EQUAL(np_slab_register(memory, 1), 0);
}

TEST("np_slab_address() is null for a slab that is not there") {
  CHECK(!np_slab_address(0));
  a_slab();
  CHECK(np_slab_address(0));
  CHECK(!np_slab_address(1));
  CHECK(!np_slab_address(SLABS_MAX - 1));
  CHECK(!np_slab_address(SLABS_MAX));
  CHECK(!np_slab_address(UINT32_MAX));
}

TEST("np_slab piece() lets nothing reach past the slab, overflow included") {
  uint32_t slab = a_slab();
  uint8_t *base = bytes_of(slab);
  CHECK(piece(slab, 0, HUGE_PAGE_BYTES) == base);
  CHECK(piece(slab, HUGE_PAGE_BYTES, 0) == base + HUGE_PAGE_BYTES);
  CHECK(piece(slab, HUGE_PAGE_BYTES - 1, 1) == base + HUGE_PAGE_BYTES - 1);
  CHECK(!piece(slab, HUGE_PAGE_BYTES, 1));
  CHECK(!piece(slab, 0, HUGE_PAGE_BYTES + 1));
  CHECK(!piece(slab, 1, HUGE_PAGE_BYTES));
  CHECK(!piece(slab, UINT32_MAX, 0));
  CHECK(!piece(slab, UINT32_MAX, 1));
  CHECK(!piece(slab, 1, UINT32_MAX));
  CHECK(!piece(slab, UINT32_MAX, UINT32_MAX));
  CHECK(!piece(slab + 1, 0, 0));
}

TEST("np_slab_discard() lets the memory stay and read as zeros") {
  uint32_t slab = a_slab();
  uint8_t *base = bytes_of(slab);
  memset(base, 0xaa, HUGE_PAGE_BYTES);
  CHECK_EQUAL(np_slab_discard(slab), 0);
  for (uint32_t at = 0; at < HUGE_PAGE_BYTES; at += 4096) CHECK_EQUAL(base[at], 0);
  memset(base, 0xbb, HUGE_PAGE_BYTES);
  CHECK_EQUAL(base[HUGE_PAGE_BYTES - 1], 0xbb);
  CHECK_EQUAL(np_slab_discard(slab + 1), -EFAULT);
  CHECK_EQUAL(np_slab_discard(UINT32_MAX), -EFAULT);
}

TEST("np_slab_discard() touches no neighbour of memory that ends inside a page") {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  memset(memory, 0xcc, page);
  int32_t ends_inside = np_slab_register(memory, 1000);
  CHECK_EQUAL(np_slab_discard((uint32_t)ends_inside), -EINVAL);
  for (size_t at = 0; at < page; at++) CHECK_EQUAL(memory[at], 0xcc);
  int32_t starts_inside = np_slab_register(memory + 1, (uint32_t)page - 1);
  CHECK_EQUAL(np_slab_discard((uint32_t)starts_inside), -EINVAL);
  int32_t whole = np_slab_register(memory, (uint32_t)page);
  CHECK_EQUAL(np_slab_discard((uint32_t)whole), 0);
  CHECK_EQUAL(memory[0], 0);
  munmap(memory, page);
}

enum { MAPPERS = 4, MAPS = 50 };

// A slab of a thread that has ended is given away again: all of them end together.
static pthread_barrier_t all_mapped;

static void *map_many(void *argument) {
  uint32_t *numbers = argument;
  for (int n = 0; n < MAPS; n++) {
    numbers[n] = a_slab();
    bytes_of(numbers[n])[0] = 1;
    // The others' slabs appear while we look; each is there as a whole or not at all.
    for (uint32_t slab = 0; slab < MAPPERS * MAPS; slab++) {
      uint8_t *base = piece(slab, 0, HUGE_PAGE_BYTES);
      CHECK(!np_slab_address(slab) || base || piece(slab, 0, HUGE_PAGE_BYTES));
    }
  }
  pthread_barrier_wait(&all_mapped);
  return NULL;
}

TEST("np_slab_map() gives every thread slabs of its own") {
  pthread_t mappers[MAPPERS];
  static uint32_t numbers[MAPPERS][MAPS];
  CHECK_EQUAL(pthread_barrier_init(&all_mapped, NULL, MAPPERS), 0);
  for (int n = 0; n < MAPPERS; n++) CHECK_EQUAL(pthread_create(&mappers[n], NULL, map_many, numbers[n]), 0);
  for (int n = 0; n < MAPPERS; n++) pthread_join(mappers[n], NULL);
  static int seen[MAPPERS * MAPS];
  for (int n = 0; n < MAPPERS; n++) {
    for (int m = 0; m < MAPS; m++) CHECK_EQUAL(seen[numbers[n][m]]++, 0);
  }
}

static int32_t find(uint32_t slab, uint32_t offset, uint32_t length, const char *needle) {
  return np_find(slab, offset, length, (const uint8_t *)needle, (uint32_t)strlen(needle));
}

TEST("np_find() finds the first of one byte or several, counted from the piece's start") {
  uint32_t slab = a_slab();
  memcpy(bytes_of(slab) + 10, "GET / HTTP/1.1\r\n\r\n", 18);
  CHECK_EQUAL(find(slab, 10, 18, "G"), 0);
  CHECK_EQUAL(find(slab, 10, 18, "/"), 4);
  CHECK_EQUAL(find(slab, 10, 18, "\r\n"), 14);
  CHECK_EQUAL(find(slab, 10, 18, "\r\n\r\n"), 14);
  CHECK_EQUAL(find(slab, 0, 28, "HTTP"), 16);
  CHECK_EQUAL(find(slab, 10, 18, "GET / HTTP/1.1\r\n\r\n"), 0);
}

TEST("np_find() is -1 when the needle is not wholly inside, or empty") {
  uint32_t slab = a_slab();
  memcpy(bytes_of(slab), "abcdef", 6);
  CHECK_EQUAL(find(slab, 0, 6, "x"), -1);
  CHECK_EQUAL(find(slab, 0, 5, "f"), -1);
  CHECK_EQUAL(find(slab, 1, 5, "a"), -1);
  CHECK_EQUAL(find(slab, 0, 5, "ef"), -1);
  CHECK_EQUAL(find(slab, 0, 3, "abcd"), -1);
  CHECK_EQUAL(find(slab, 0, 0, "a"), -1);
  CHECK_EQUAL(find(slab, HUGE_PAGE_BYTES, 0, "ab"), -1);
  CHECK_EQUAL(find(slab, 0, 6, ""), -1);
  CHECK_EQUAL(np_find(slab, 0, 6, NULL, 0), -1);
}

TEST("np_find() is -EFAULT outside the slab") {
  uint32_t slab = a_slab();
  CHECK_EQUAL(find(slab, 0, HUGE_PAGE_BYTES + 1, "a"), -EFAULT);
  CHECK_EQUAL(find(slab, 2, UINT32_MAX, "a"), -EFAULT);
  CHECK_EQUAL(find(slab + 1, 0, 1, "a"), -EFAULT);
}
