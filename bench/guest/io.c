// What a guest does to its disk and its network card, each for a given time: io <row> <seconds> <device, or address and port>.
// What is before a colon in the row's name is only printed.
// Prints "@@B <row>" when it begins, and "@@V <row> <done> <a second>": millions of bytes, or operations.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * KIB, STREAMS = 8, DEPTH = 32 };
static const char *row;
static double limit;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", row, what, strerror(errno));
  exit(1);
}
static double begin(void) {
  printf("@@B %s\n", row);
  fflush(stdout);
  return now();
}
static void report(double done, double since) { printf("@@V %s %.3f %.3f\n", row, done, done / (now() - since)); }

// Disk.

static uint64_t size;
static int open_disk(const char *path, int flags) {
  int fd = open(path, flags);
  if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0) die(path);
  return fd;
}
static void forget_cache(void) {
  int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
  if (fd < 0 || write(fd, "1", 1) != 1) die("drop_caches");
  close(fd);
}
static void *buffer(size_t bytes) {
  char *at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < bytes; i++) at[i] = (char)(i * 7 + (i >> 12));
  return at;
}

static void sequential(const char *path, int writes, int direct) {
  size_t piece = direct ? MIB : 128 * KIB;
  int fd = open_disk(path, (writes ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT : 0));
  char *data = buffer(piece);
  if (!direct) forget_cache();
  double since = begin(), end = since + limit;
  uint64_t done = 0, at = 0;
  while (now() < end) {
    if (at + piece > size) {
      at = 0;
      if (!direct && !writes) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    ssize_t n = writes ? pwrite(fd, data, piece, at) : pread(fd, data, piece, at);
    if (n != (ssize_t)piece) die("transfer");
    at += piece;
    done += piece;
    // A guest's dirty pages are bounded, so that the row is not one of its memory.
    if (writes && !direct && done % (32 * MIB) == 0 && fsync(fd) < 0) die("fsync");
  }
  if (writes && !direct && fsync(fd) < 0) die("fsync");
  report(done / 1e6, since);
}

static uint64_t state = 88172645463325252ull;
static uint64_t random_block(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state % (size / 4096) * 4096;
}
static void random_blocks(const char *path, int writes, int depth) {
  int fd = open_disk(path, (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
  char *data = buffer((size_t)depth * 4096);
  aio_context_t context = 0;
  struct iocb blocks[DEPTH];
  struct io_event events[DEPTH];
  if (depth > 1 && syscall(SYS_io_setup, DEPTH, &context) < 0) die("io_setup");
  double since = begin(), end = since + limit;
  uint64_t done = 0;
  if (depth == 1) {
    for (; now() < end; done++) {
      uint64_t at = random_block();
      if ((writes ? pwrite(fd, data, 4096, at) : pread(fd, data, 4096, at)) != 4096) die("transfer");
    }
  } else {
    struct iocb *next[DEPTH];
    int waiting = depth;
    for (int i = 0; i < depth; i++) {
      blocks[i] = (struct iocb){.aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, .aio_fildes = fd,
                                .aio_buf = (uintptr_t)data + i * 4096, .aio_nbytes = 4096};
      next[i] = &blocks[i];
    }
    int flying = 0;
    for (;;) {
      if (now() >= end) waiting = 0;
      for (int i = 0; i < waiting; i++) next[i]->aio_offset = random_block();
      if (waiting > 0 && syscall(SYS_io_submit, context, waiting, next) != waiting) die("io_submit");
      flying += waiting;
      if (flying == 0) break;
      waiting = syscall(SYS_io_getevents, context, 1, DEPTH, events, 0);
      if (waiting < 1) die("io_getevents");
      for (int i = 0; i < waiting; i++) {
        if (events[i].res != 4096) die("transfer");
        next[i] = (struct iocb *)(uintptr_t)events[i].obj;
      }
      flying -= waiting;
      done += waiting;
    }
  }
  report(done, since);
}

// Network. The host's server does what the first byte of a connection says: S takes and tells when it has all, R gives, E echoes.

static struct sockaddr_in server;
static int dial(char what) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (write(fd, &what, 1) != 1) die("write");
  return fd;
}
static uint64_t stream_bytes(int sends) {
  int fd = dial(sends ? 'S' : 'R');
  char *data = buffer(128 * KIB);
  double end = now() + limit;
  uint64_t done = 0;
  while (now() < end) {
    ssize_t n = sends ? write(fd, data, 128 * KIB) : read(fd, data, 128 * KIB);
    if (n <= 0) die("transfer");
    done += n;
  }
  if (sends && (shutdown(fd, SHUT_WR) < 0 || read(fd, data, 1) != 1)) die("end");
  close(fd);
  return done;
}
static void streams(int sends, int count) {
  uint64_t *done = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = 0;
  double since = begin();
  for (int i = 0; i < count; i++) {
    if (fork() == 0) {
      done[i] = stream_bytes(sends);
      _exit(0);
    }
  }
  for (int i = 0, status; i < count; i++)
    if (wait(&status) < 0 || status != 0) exit(1);
  for (int i = 0; i < count; i++) all += done[i];
  report(all / 1e6, since);
}
static void echoes(int connects) {
  char byte = 'x';
  int fd = connects ? -1 : dial('E');
  double since = begin(), end = since + limit;
  uint64_t done = 0;
  for (; now() < end; done++) {
    if (connects) fd = dial('E');
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("echo");
    if (connects) {
      // The guest's own TIME-WAIT would use up its ports.
      struct linger hard = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      close(fd);
    }
  }
  report(done, since);
}
// A server of the guest's own, for a connection through a forwarded port.
static void forwarded(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || listen(fd, 1) < 0) die("listen");
  printf("@@L %s listens\n", row);
  fflush(stdout);
  alarm(30);
  int peer = accept(fd, 0, 0);
  if (peer < 0) die("accept");
  char *data = buffer(128 * KIB);
  uint64_t done = 0;
  double since = begin(), end = since + limit;
  while (now() < end) {
    ssize_t n = read(peer, data, 128 * KIB);
    if (n <= 0) die("transfer");
    done += n;
  }
  report(done / 1e6, since);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  row = argv[1];
  limit = atof(argv[2]);
  const char *where = argv[3];
  if (argc > 4) {
    signal(SIGPIPE, SIG_IGN);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[4]))};
    inet_aton(where, &server.sin_addr);
  }
  const char *colon = strchr(row, ':'), *what = colon ? colon + 1 : row;
#define ROW(name, act) if (strcmp(what, name) == 0) return act, 0;
  ROW("read", sequential(where, 0, 1))
  ROW("write", sequential(where, 1, 1))
  ROW("buffered-read", sequential(where, 0, 0))
  ROW("buffered-write", sequential(where, 1, 0))
  ROW("random-read", random_blocks(where, 0, 1))
  ROW("random-write", random_blocks(where, 1, 1))
  ROW("random-read-32", random_blocks(where, 0, DEPTH))
  ROW("random-write-32", random_blocks(where, 1, DEPTH))
  ROW("to-host", streams(1, 1))
  ROW("from-host", streams(0, 1))
  ROW("to-host-8", streams(1, STREAMS))
  ROW("from-host-8", streams(0, STREAMS))
  ROW("round-trips", echoes(0))
  ROW("connections", echoes(1))
  ROW("forwarded", forwarded(atoi(argv[4])))
  return 2;
}
