//! `cargo dev package`: the zip that every Lambda function is made of.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The newest GLIBC symbol version that Amazon Linux 2023 (`provided.al2023`) has.
const GLIBC_MAX: (u32, u32) = (2, 34);

/// What to package.
#[derive(Debug, Default)]
pub struct Options {
    /// For arm64, through cargo-lambda.
    pub arm64: bool,
    /// A policy file that goes into the zip as `policy.toml`.
    pub policy: Option<PathBuf>,
}

/// Reads the arguments.
pub fn options(args: &[&str]) -> Option<Options> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--arm64" => options.arm64 = true,
            "--policy" => options.policy = Some(PathBuf::from(args.next()?)),
            _ => return None,
        }
    }
    Some(options)
}

/// Builds `target/lambda/tidegate.zip`.
pub fn package(options: &Options) -> bool {
    let target = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let out = target.join("lambda");
    let built = if options.arm64 {
        let lambda = ["lambda", "build", "--locked", "--arm64", "--profile", "lambda", "--package", "tidegate-lambda", "--bin", "bootstrap"];
        run("cargo", &lambda, &[]).then(|| out.join("bootstrap").join("bootstrap"))
    } else {
        let cargo = ["build", "--locked", "--profile", "lambda", "--package", "tidegate-lambda", "--bin", "bootstrap"];
        // The profile is called `lambda`, and so is its folder.
        run("cargo", &cargo, &[]).then(|| out.join("bootstrap"))
    };
    let Some(binary) = built else { return false };
    match finish(&binary, &out, options) {
        Ok(zip) => {
            eprintln!("{zip}");
            true
        }
        Err(why) => {
            eprintln!("no package: {why}");
            false
        }
    }
}

fn finish(binary: &Path, out: &Path, options: &Options) -> Result<String, String> {
    let newest = newest_glibc(binary)?;
    if newest > GLIBC_MAX {
        return Err(format!(
            "`{}` needs GLIBC_{}.{}, and provided.al2023 has {}.{}: build on an older system, or with cargo-lambda",
            binary.display(),
            newest.0,
            newest.1,
            GLIBC_MAX.0,
            GLIBC_MAX.1
        ));
    }
    let stage = out.join("stage");
    std::fs::create_dir_all(&stage).map_err(|error| format!("`{}`: {error}", stage.display()))?;
    let copy = |from: &Path, name: &str| {
        let to = stage.join(name);
        std::fs::copy(from, &to).map(|_| to.display().to_string()).map_err(|error| format!("`{}`: {error}", from.display()))
    };
    let mut files = vec![copy(binary, "bootstrap")?];
    let policy = stage.join("policy.toml");
    if let Some(file) = &options.policy {
        files.push(copy(file, "policy.toml")?);
    } else if policy.exists() {
        std::fs::remove_file(&policy).map_err(|error| format!("`{}`: {error}", policy.display()))?;
    }
    let zip = out.join("tidegate.zip").display().to_string();
    let mut args = vec!["-m", "zipfile", "-c", zip.as_str()];
    args.extend(files.iter().map(String::as_str));
    if !run("python3", &args, &[]) {
        return Err("python3 could not write the zip".into());
    }
    let bytes = |path: &str| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let unpacked: u64 = files.iter().map(|file| bytes(file)).sum();
    Ok(format!("{zip}: {} bytes, {unpacked} unpacked, GLIBC_{}.{}", bytes(&zip), newest.0, newest.1))
}

/// The newest GLIBC symbol version that a binary asks for.
fn newest_glibc(binary: &Path) -> Result<(u32, u32), String> {
    let output = Command::new("objdump").arg("-T").arg(binary).output().map_err(|error| format!("objdump (binutils) can't be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("objdump can't read `{}`: {}", binary.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    newest_in(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| format!("`{}` names no GLIBC version", binary.display()))
}

fn newest_in(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut parts = digits.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_text() {
        let symbols = "0 DF *UND* 0 (GLIBC_2.9) a\n0 DF *UND* 0 (GLIBC_2.34) b\n0 DF *UND* 0 (GLIBC_2.2.5) c\n";
        assert_eq!(newest_in(symbols), Some((2, 34)));
        assert_eq!(newest_in("nothing"), None);
        assert!(newest_in("GLIBC_2.36") > Some(GLIBC_MAX));
    }

    #[test]
    fn arguments_are_read_or_refused() {
        assert!(options(&["--arm64"]).is_some_and(|options| options.arm64));
        assert!(options(&["--policy", "p.toml"]).is_some_and(|options| options.policy == Some("p.toml".into())));
        assert!(options(&["--policy"]).is_none() && options(&["--x"]).is_none());
    }
}
