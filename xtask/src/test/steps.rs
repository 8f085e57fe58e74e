//! The steps of a test run: each printed when it starts, timed, and listed at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::count::Count;

/// What ran so far.
pub(super) struct Steps {
    started: Instant,
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs one step and notes its time; a failing step does not keep later ones from running.
    pub(super) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        println!("==> {name}");
        let started = Instant::now();
        let failure = work().err().map(|error| format!("{error:#}"));
        let step = Step {
            name,
            took: started.elapsed(),
            failure,
        };
        println!("{}", step.line());
        self.done.push(step);
    }

    pub(super) fn any_failed(&self) -> bool {
        self.done.iter().any(|step| step.failure.is_some())
    }

    /// Prints the list of steps and, as the last line, the count that programs read.
    pub(super) fn close(self, tests: Count) -> ExitCode {
        println!("\n==> summary");
        for step in &self.done {
            println!("{}", step.line());
        }
        println!("total: {:.0} s", self.started.elapsed().as_secs_f64());
        println!("{}", self.total(tests));
        if self.any_failed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Tests as cargo counted them; a failing step in which no test failed counts as one failure,
    /// so that the last line never says `0 failed` about a tree that must not land.
    fn total(&self, tests: Count) -> Count {
        let failed_steps = self
            .done
            .iter()
            .filter(|step| step.failure.is_some())
            .count();
        Count {
            failed: tests.failed.max(failed_steps),
            ..tests
        }
    }
}

impl Step {
    fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        match &self.failure {
            None => format!("    ok      {seconds:7.1} s  {}", self.name),
            Some(why) => format!("    FAILED  {seconds:7.1} s  {}: {why}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn later_steps_run_after_a_failure_and_the_total_is_not_clean() {
        let mut steps = Steps::start();
        let mut ran = false;
        steps.run("first", || bail!("broken"));
        steps.run("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        assert!(steps.any_failed());
        assert_eq!(
            steps
                .total(Count {
                    passed: 7,
                    failed: 0
                })
                .to_string(),
            "7 passed, 1 failed"
        );
        assert_eq!(steps.close(Count::default()), ExitCode::FAILURE);
    }

    #[test]
    fn clean_run_counts_tests_only() {
        let mut steps = Steps::start();
        steps.run("only", || Ok(()));
        assert_eq!(
            steps
                .total(Count {
                    passed: 7,
                    failed: 0
                })
                .to_string(),
            "7 passed, 0 failed"
        );
        assert_eq!(
            steps.close(Count {
                passed: 7,
                failed: 0
            }),
            ExitCode::SUCCESS
        );
    }
}
