/* What Debian's libstdc++_pic.a and libgcc_eh.a, compiled for glibc, need and musl does not have. */
typedef unsigned long size_t;
extern long getrandom(void *, size_t, unsigned);

char __libc_single_threaded = 0;
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;

__attribute__((visibility("hidden"))) unsigned arc4random(void) {
  unsigned value;
  getrandom(&value, sizeof value, 0);
  return value;
}

/* Only a C++ exception calls it; Bun is built without exceptions. */
__attribute__((visibility("hidden"))) int _dl_find_object(void *pc, void *result) {
  (void)pc;
  (void)result;
  return -1;
}
