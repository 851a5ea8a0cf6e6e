#include "histogram.h"

#define STEPS (1u << HISTOGRAM_STEP_BITS)

static unsigned bucket_of(uint64_t value) {
  if (value < STEPS) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
  return ((shift + 1) << HISTOGRAM_STEP_BITS) + ((unsigned)(value >> shift) & (STEPS - 1));
}

// The largest value that falls into a bucket.
static uint64_t bucket_end(unsigned bucket) {
  if (bucket < STEPS) return bucket;
  unsigned shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
  return ((uint64_t)STEPS + (bucket & (STEPS - 1)) + 1) * (1ull << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t nanos) {
  h->buckets[bucket_of(nanos)]++;
  h->count++;
  h->sum += (double)nanos;
  if (nanos > h->max) h->max = nanos;
}

double histogram_micros(const struct histogram *h, double fraction) {
  if (h->count == 0) return 0;
  uint64_t wanted = (uint64_t)((double)h->count * fraction + 0.5), seen = 0;
  if (wanted == 0) wanted = 1;
  for (unsigned i = 0; i < sizeof h->buckets / sizeof h->buckets[0]; i++) {
    seen += h->buckets[i];
    if (seen < wanted) continue;
    uint64_t end = bucket_end(i);
    return (double)(end < h->max ? end : h->max) / 1e3;
  }
  return (double)h->max / 1e3;
}

double histogram_mean_micros(const struct histogram *h) {
  return h->count == 0 ? 0 : h->sum / (double)h->count / 1e3;
}
