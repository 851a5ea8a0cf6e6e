// A log-linear histogram of nanoseconds: 64 steps to each power of two, so a percentile is off by
// at most 1.6 %.
#pragma once
#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6

struct histogram {
  uint64_t buckets[64 << HISTOGRAM_STEP_BITS];
  uint64_t count;
  uint64_t max;
  double sum;
};

void histogram_add(struct histogram *h, uint64_t nanos);
// The value in microseconds that `fraction` of all values do not exceed; 0 when there are none.
double histogram_micros(const struct histogram *h, double fraction);
double histogram_mean_micros(const struct histogram *h);
