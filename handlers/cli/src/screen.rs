//! What people see. Data goes to stdout, everything else to stderr; colours go where a terminal is and NO_COLOR is not set.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Writes a line into a `String`, which cannot fail.
#[macro_export]
macro_rules! line {
    ($text:expr, $($words:tt)*) => {{
        $text.push_str(&format!($($words)*));
        $text.push('\n');
    }};
    ($text:expr) => { $text.push('\n') };
}

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to look at.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub const HEAD: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();

/// Writes to stdout. A reader that went away (`| head`) is no error.
///
/// # Errors
/// When stdout can't be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::machine("stdout can't be written", &error)),
        _ => Ok(()),
    }
}

/// Writes one JSON document to stdout.
///
/// # Errors
/// When stdout can't be written.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Failure::machine("the answer can't be written as JSON", &error))?;
    text.push('\n');
    print(&text)
}

/// Writes a line to stderr.
pub fn tell(text: &str) {
    let mut err = anstream::stderr().lock();
    drop(writeln!(err, "{text}"));
}

/// Writes a warning to stderr.
pub fn warn(text: &str) {
    tell(&format!("{WARN}warning:{WARN:#} {text}"));
}

/// Says why a command ended.
pub fn complain(failure: &Failure) {
    let head = match failure {
        Failure::Belt(_) => "refused:",
        Failure::Interrupted => "stopped:",
        _ => "error:",
    };
    // Tools look for the place at the start of the line.
    if let Failure::Placed(text) = failure { tell(text) } else { tell(&format!("{BAD}{head}{BAD:#} {failure}")) }
}

/// Whether somebody sits at this terminal.
pub fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// A bar on stderr for long work: silent where stderr is not a terminal.
pub fn bar(what: &str, total: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
