#include "cores.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace axpy {

#if defined(__linux__)
namespace {

double readNumber(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? value : 0;
}

/// `cpu.max` of cgroup v2: "<quota or max> <period>". 0 for no quota.
double quotaV2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quotaV1(const std::string& folder) {
  const double quota = readNumber(folder + "/cpu.cfs_quota_us");
  const double period = readNumber(folder + "/cpu.cfs_period_us");
  return quota > 0 && period > 0 ? quota / period : 0;
}

/// The least quota from the process's own group up to the root of the mount: any of them may bind.
template <class Quota>
double leastQuota(const std::string& mount, std::string group, Quota quota) {
  double least = 0;
  for (;;) {
    const double cores = quota(mount + group);
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos || group.empty()) return least;
    group.resize(slash);
  }
}

/// 0 for no quota.
double cgroupQuota() {
  std::ifstream file("/proc/self/cgroup");
  double least = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string id, controllers, group;
    std::getline(fields, id, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, group);
    double cores = 0;
    if (controllers.empty()) {
      cores = leastQuota("/sys/fs/cgroup", group, quotaV2);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      cores = leastQuota("/sys/fs/cgroup/cpu", group, quotaV1);
    }
    if (cores > 0 && (least == 0 || cores < least)) least = cores;
  }
  return least;
}

}  // namespace
#endif

int availableCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  const double quota = cgroupQuota();
  if (quota > 0) cores = std::min(cores, static_cast<int>(std::ceil(quota)));
#endif
  return std::max(cores, 1);
}

}  // namespace axpy
