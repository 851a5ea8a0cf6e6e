#define _GNU_SOURCE
#include "report.h"

#include <stdio.h>
#include <sys/resource.h>

#include "../histogram.h"
#include "../process_cpu.h"
#include "../process_memory.h"
#include "options.h"

struct figures figures;

static struct histogram latency;
static double seconds;

// CPU of the processes when measuring began; at its end, the CPU that they used meanwhile.
static struct process_cpu server_cpu;
static double own_cpu_seconds;
static struct process_memory memory_before, memory_after;

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double own_cpu(void) {
  struct rusage now;
  getrusage(RUSAGE_SELF, &now);
  return seconds_of(now.ru_utime) + seconds_of(now.ru_stime);
}

void figures_prepare(void) {
  if (options.server == 0) return;
  process_memory_reset_peak(options.server);
  memory_before = process_memory_read(options.server);
}

void figures_begin(void) {
  figures.connects = figures.dropped = 0;
  if (options.server > 0) server_cpu = process_cpu_read(options.server);
  own_cpu_seconds = own_cpu();
  figures.began = now_nanos();
  figures.phase = MEASURING;
}

void figures_end(void) {
  figures.phase = OVER;
  seconds = (double)(now_nanos() - figures.began) / 1e9;
  own_cpu_seconds = own_cpu() - own_cpu_seconds;
  if (options.server == 0) return;
  struct process_cpu now = process_cpu_read(options.server);
  server_cpu.total_nanos = now.total_nanos - server_cpu.total_nanos;
  server_cpu.user_ticks = now.user_ticks - server_cpu.user_ticks;
  server_cpu.system_ticks = now.system_ticks - server_cpu.system_ticks;
  memory_after = process_memory_read(options.server);
}

void figures_add_answer(uint64_t due, uint64_t now) {
  figures.answers++;
  if (figures.phase != MEASURING) return;
  histogram_add(&latency, now > due ? now - due : 0);
  figures.messages++;
}

static void report_server(void) {
  double ticks = server_cpu.user_ticks + server_cpu.system_ticks;
  double user_share = ticks > 0 ? server_cpu.user_ticks / ticks : 0;
  double micros = figures.messages > 0 ? server_cpu.total_nanos / 1e3 / (double)figures.messages : 0;
  printf("\"server_cpu_percent\":%.1f,", server_cpu.total_nanos / seconds / 1e7);
  printf("\"server_us_per_message\":%.4f,", micros);
  printf("\"server_user_us_per_message\":%.4f,", micros * user_share);
  printf("\"server_system_us_per_message\":%.4f,", micros * (1 - user_share));
  printf("\"server_rss_bytes_begin\":%lu,", memory_before.resident_bytes);
  printf("\"server_rss_bytes_end\":%lu,", memory_after.resident_bytes);
  printf("\"server_rss_bytes_peak\":%lu,", memory_after.peak_bytes);
}

static void report_latency(void) {
  static const struct {
    const char *name;
    double fraction;
  } percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
  printf("\"mean_us\":%.1f,", histogram_mean_micros(&latency));
  for (unsigned i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
    printf("\"%s_us\":%.1f,", percentiles[i].name, histogram_micros(&latency, percentiles[i].fraction));
  }
  printf("\"max_us\":%.1f,", (double)latency.max / 1e3);
}

void report(void) {
  printf("{\"connections\":%d,\"idle\":%d,", options.connections, options.idle);
  printf("\"receivers\":%d,\"slow\":%d,", options.receivers, options.slow);
  printf("\"message_bytes\":%zu,\"depth\":%d,\"seconds\":%.3f,", options.message_bytes, options.depth, seconds);
  printf("\"messages\":%lu,\"messages_per_s\":%.1f,", figures.messages, (double)figures.messages / seconds);
  printf("\"bytes_per_s\":%.0f,\"slow_bytes\":%lu,", (double)figures.bytes / seconds, figures.slow_bytes);
  printf("\"connects_per_s\":%.1f,\"dropped\":%lu,", (double)figures.connects / seconds, figures.dropped);
  report_latency();
  if (options.server > 0) report_server();
  printf("\"client_cpu_percent\":%.1f}\n", own_cpu_seconds / seconds * 100);
}
