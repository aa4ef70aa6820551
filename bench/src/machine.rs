//! The machine, as it describes itself.

use std::path::Path;

use crate::results::Machine;

/// This machine, with the file system under `dir`.
#[must_use]
pub fn this(dir: &Path) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(':'));
    let memory = read("/proc/meminfo");
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse::<u64>().ok()));
    let dir = dir.canonicalize().unwrap_or_default();
    Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        processor: model.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
        memory: kib.unwrap_or_default() * 1024,
        system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        file_system: file_system(&read("/proc/mounts"), &dir).unwrap_or_default(),
    }
}

/// As many open files as the system allows: ten thousand connections want more than the usual limit. Whoever is started
/// inherits it.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        eprintln!("millstream-bench: the limit on open files stays as it is: {error}");
    }
}

/// The type of the file system that `dir` is on: that of the longest mount point above it, the last if there are two.
fn file_system(mounts: &str, dir: &Path) -> Option<String> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    let above = fields.filter(|fields| fields.get(1).is_some_and(|point| dir.starts_with(point)));
    above.max_by_key(|fields| fields[1].len()).and_then(|fields| fields.get(2).map(|name| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/a")).as_deref(), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/tmpest")).as_deref(), Some("ext4"));
    }
}
