//! A disk that is soon full: a tmpfs in a namespace of its own, which the server is started in.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::server::answer;

/// Where it is mounted, for who is inside.
pub const WHERE: &str = "/mnt";

/// Unmounted with the last process that uses it.
pub struct SmallDisk {
    holder: Child,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

fn in_a_namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

/// Whether this user may have a disk of his own here. Where not, the trial is listed as ignored.
pub fn can_mount() -> bool {
    let script = format!("mount -t tmpfs tmpfs {WHERE}");
    in_a_namespace(&script).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl SmallDisk {
    pub fn mount(bytes: u64) -> Self {
        // `cat` ends with this process, whose end of the pipe it reads.
        let script = format!("mount -t tmpfs -o size={bytes} tmpfs {WHERE} && echo mounted && exec cat");
        let mut holder = in_a_namespace(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "mounted", "unprivileged user namespaces are needed here");
        Self { holder }
    }

    /// The same command inside.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--preserve-credentials", "--user", "--mount", "--target", &self.holder.id().to_string()]);
        inside.arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// What is below [`WHERE`], seen from outside. Not for programs that follow links themselves: the way leads through one
    /// that only the kernel can follow.
    pub fn outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{WHERE}", self.holder.id())).join(path)
    }

    /// Copies the files of a folder out.
    pub fn copy(&self, folder: &str, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(self.outside(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut ballast = std::fs::File::options().append(true).create(true).open(self.outside("ballast")).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.outside("ballast")).ok();
    }
}

/// Whether a server comes up; what it says where it does not. It is ended in any case.
pub fn starts(command: &mut Command, port: u16) -> Result<(), String> {
    let mut child = command.env_remove("FUNCTIONS_CUSTOMHANDLER_PORT").spawn().unwrap();
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(status.code(), Some(1), "{said}");
            return Err(said);
        }
        // It may well be up and say that it is not well.
        if answer(port, "/health").is_some() {
            child.kill().unwrap();
            child.wait().unwrap();
            return Ok(());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it neither starts nor ends");
        std::thread::sleep(Duration::from_millis(20));
    }
}
