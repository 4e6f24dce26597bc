//! What processes use, from `/proc`; nothing is known where there is none (not Linux).

use std::{collections::HashMap, fs};

/// Clock ticks a second in `/proc`, the same on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// Kilobytes, as `/proc` has them, in a megabyte.
const KB_PER_MB: f64 = 1_024.0;

/// A process id.
pub(crate) type Pid = u32;

/// Processor time of one process alone, in seconds, since it began.
pub(crate) fn cpu_seconds(pid: Pid) -> Option<f64> {
    let [user, system, ..] = times(pid)?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Processor time of a process, all that descend from it, and those of them that have ended.
pub(crate) fn cpu_seconds_of_tree(root: Pid) -> Option<f64> {
    times(root)?;
    Some(tree(root).into_iter().filter_map(times).flatten().sum::<f64>() / TICKS_PER_SECOND)
}

/// Processor time of processes that descended from `pid`, have ended and were waited for, in seconds.
pub(crate) fn cpu_seconds_of_ended(pid: Pid) -> Option<f64> {
    let [.., user, system] = times(pid)?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Processor time of the whole machine, in seconds, since it began.
pub(crate) fn cpu_seconds_of_machine() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; a guest's time is in `user` already.
    let idle = fields.get(3)? + fields.get(4)?;
    Some((fields.iter().take(8).sum::<f64>() - idle) / TICKS_PER_SECOND)
}

/// Memory that a process has now, resident, in megabytes.
pub(crate) fn resident_mb(pid: Pid) -> Option<f64> {
    kilobytes(&format!("/proc/{pid}/status"), "VmRSS:").map(|kb| kb / KB_PER_MB)
}

/// The most it has had since it began, or since [`forget_peak`].
pub(crate) fn peak_resident_mb(pid: Pid) -> Option<f64> {
    kilobytes(&format!("/proc/{pid}/status"), "VmHWM:").map(|kb| kb / KB_PER_MB)
}

/// Begins anew with the peak; without effect where the system does not let us.
pub(crate) fn forget_peak(pid: Pid) {
    const RESET_PEAK: &str = "5";
    let _kept = fs::write(format!("/proc/{pid}/clear_refs"), RESET_PEAK);
}

/// Memory of a process and all that descend from it, what they share counted once, in megabytes.
pub(crate) fn memory_mb_of_tree(root: Pid) -> Option<f64> {
    let each = tree(root).into_iter().filter_map(|pid| kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:"));
    let sum = each.sum::<f64>() / KB_PER_MB;
    (sum > 0.0).then_some(sum)
}

fn kilobytes(file: &str, field: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// Everything after the name in `/proc/PID/stat`; the name may itself hold spaces and parentheses.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// User, system, and both of children that were waited for, in ticks.
fn times(pid: Pid) -> Option<[f64; 4]> {
    let stat = stat(pid)?;
    let field = |index: usize| stat.get(index)?.parse().ok();
    Some([field(11)?, field(12)?, field(13)?, field(14)?])
}

/// A process and all that descend from it.
fn tree(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<Pid>().ok());
        let parent = pid.and_then(stat).and_then(|stat| stat.get(1)?.parse().ok());
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_own_time_and_memory() {
        let ourselves = std::process::id();
        let before = cpu_seconds(ourselves).unwrap_or_default();
        let mut work = 1_u64;
        while cpu_seconds(ourselves).is_some_and(|now| now < before + 0.05) {
            work = std::hint::black_box(work.wrapping_mul(3));
        }
        assert!(cpu_seconds_of_tree(ourselves) >= Some(before + 0.05));
        assert!(cpu_seconds_of_machine() >= cpu_seconds(ourselves));
        assert!(peak_resident_mb(ourselves) >= resident_mb(ourselves) && resident_mb(ourselves) > Some(0.1));
    }
}
