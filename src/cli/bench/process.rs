//! What a process uses, as Linux tells it. Elsewhere nothing is known, and nothing is made up.

use std::time::Duration;

/// CPU so far, and memory now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time.
    pub cpu: Option<Duration>,
    pub rss_bytes: Option<u64>,
}

impl Usage {
    pub fn of_this() -> Self {
        Self::read("self")
    }

    pub fn of(process: u32) -> Self {
        Self::read(&process.to_string())
    }

    fn read(process: &str) -> Self {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).ok();
        Self { cpu: file("stat").as_deref().and_then(cpu), rss_bytes: file("status").as_deref().and_then(resident) }
    }

    /// The share of one core that was used between two looks.
    pub fn cores_until(self, later: Self, elapsed: Duration) -> Option<f64> {
        Some(later.cpu?.saturating_sub(self.cpu?).as_secs_f64() / elapsed.as_secs_f64())
    }
}

/// Fields 14 and 15 of proc(5)'s `stat`: ticks, which are 10 ms on every Linux that is in use (`USER_HZ`). The second field
/// is the program's name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_files_are_read_whatever_the_program_is_called() {
        let stat = "4242 (a) b (c)) S 1 4242 4242 0 -1 4194560 21 0 0 0 250 75 0 0 20 0 9 0 1 2 3 4";
        assert_eq!(cpu(stat), Some(Duration::from_millis(3250)));
        assert_eq!(resident("Name:\tsluice\nVmRSS:\t   20480 kB\nThreads:\t9\n"), Some(20 << 20));
        assert_eq!((cpu("nonsense"), resident("nonsense")), (None, None));
    }
}
