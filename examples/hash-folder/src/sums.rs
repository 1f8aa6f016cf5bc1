//! What the jobs do: files, hashes, and lines as `sha256sum` writes them.

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The names of all files in the folder and its folders, in order. Links are not followed.
pub fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(&inner).with_context(|| format!("reading the folder {}", inner.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                names.push(name_in(folder, &entry.path())?);
            }
        }
    }
    names.sort();
    Ok(names)
}

fn name_in(folder: &Path, file: &Path) -> anyhow::Result<String> {
    let name = file.strip_prefix(folder)?.to_str();
    Ok(name
        .with_context(|| format!("the name of {} is not UTF-8, which a job can't carry", file.display()))?
        .to_owned())
}

/// A file's line: its hash and its name, the name escaped as `sha256sum` does it.
pub fn line(folder: &Path, name: &str) -> anyhow::Result<String> {
    let mut file = File::open(folder.join(name))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => break,
            read => hash.update(&block[..read]),
        }
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}")?;
    }
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    Ok(format!("{mark}{hex}  {escaped}\n"))
}

/// The lines of all files in the folder of parts, in order.
pub fn join(parts: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(parts).with_context(|| format!("reading the folder {}", parts.display()))? {
        let file = entry?.path();
        if file.extension().is_none() {
            files.push(file);
        }
    }
    files.sort();
    let mut lines = String::new();
    for file in files {
        lines.push_str(&fs::read_to_string(file)?);
    }
    Ok(lines)
}

/// Writes a file so that nobody ever sees half of it.
pub fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    let half = file.with_extension(format!("{}.half", uuid::Uuid::new_v4()));
    fs::write(&half, text).with_context(|| format!("writing {}", half.display()))?;
    fs::rename(&half, file).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("abc"), "abc").unwrap();
        fs::write(folder.path().join("a\nb\\c"), "").unwrap();
        assert_eq!(
            line(folder.path(), "abc").unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n"
        );
        assert_eq!(
            line(folder.path(), "a\nb\\c").unwrap(),
            "\\e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\\nb\\\\c\n"
        );
    }

    #[test]
    fn files_of_all_depths_are_found_and_half_written_parts_are_not_joined() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("x/y")).unwrap();
        for (name, text) in [("2", "two\n"), ("1", "one\n"), ("1.half", "on"), ("x/y/z", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(files(folder.path()).unwrap(), ["1", "1.half", "2", "x/y/z"]);
        fs::remove_dir_all(folder.path().join("x")).unwrap();
        assert_eq!(join(folder.path()).unwrap(), "one\ntwo\n");
    }
}
