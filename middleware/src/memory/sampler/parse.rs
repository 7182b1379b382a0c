//! Reading what the kernel writes: pure functions over bytes. Whatever does not look as documented (proc(5), the kernel's
//! admin-guide/cgroup-v2, cgroup-v1/memory and accounting/psi) is a reason, never a number.

use super::super::snapshot::{Pressure, PressureShare};

/// Why a figure is not known.
pub(in crate::memory) type Reason = &'static str;

const EMPTY: Reason = "empty";
const NOT_A_NUMBER: Reason = "not a number";
const TOO_LARGE: Reason = "a number that does not fit";
const MISSING: Reason = "the field is missing";

/// The kernel's v1 controller writes the largest page-aligned `i64` for no limit; nothing real comes near.
const V1_UNLIMITED_FROM: u64 = 1 << 62;

/// Total and resident pages: the first two fields of `/proc/self/statm`.
pub(in crate::memory) fn statm(bytes: &[u8]) -> Result<(u64, u64), Reason> {
    let mut fields = words(bytes);
    let total = integer(fields.next().ok_or(EMPTY)?)?;
    let resident = integer(fields.next().ok_or(MISSING)?)?;
    if resident > total {
        return Err("more is resident than there is");
    }
    Ok((total, resident))
}

/// Pages to bytes.
pub(in crate::memory) fn pages(count: u64, page_bytes: u64) -> Result<u64, Reason> {
    count.checked_mul(page_bytes).ok_or(TOO_LARGE)
}

/// The number behind `name` in `/proc/self/status`: a count, or kB where the line says so.
pub(in crate::memory) fn status_field(bytes: &[u8], name: &str) -> Result<u64, Reason> {
    let mut fields = words(line_after(bytes, name.as_bytes()).ok_or(MISSING)?);
    let number = integer(fields.next().ok_or(EMPTY)?)?;
    match fields.next() {
        None => Ok(number),
        Some(b"kB") => number.checked_mul(1024).ok_or(TOO_LARGE),
        Some(_) => Err("an unknown unit"),
    }
}

/// A file that holds one number.
pub(in crate::memory) fn number(bytes: &[u8]) -> Result<u64, Reason> {
    let mut fields = words(bytes);
    let number = integer(fields.next().ok_or(EMPTY)?)?;
    match fields.next() {
        None => Ok(number),
        Some(_) => Err("more than one number"),
    }
}

/// A limit of a control group; `None` where it is unlimited (`max` in v2).
pub(in crate::memory) fn limit(bytes: &[u8]) -> Result<Option<u64>, Reason> {
    if bytes.trim_ascii() == b"max" {
        return Ok(None);
    }
    Ok(Some(number(bytes)?).filter(|limit| *limit < V1_UNLIMITED_FROM))
}

/// The number behind `name` in a file of `name number` lines (`memory.events`, `memory.stat`, `memory.oom_control`).
pub(in crate::memory) fn keyed(bytes: &[u8], name: &str) -> Result<u64, Reason> {
    let found = lines(bytes).find_map(|line| {
        let mut fields = words(line);
        (fields.next()? == name.as_bytes()).then(|| fields.next())
    });
    integer(found.ok_or(MISSING)?.ok_or(EMPTY)?)
}

/// `/proc/pressure/memory` or a group's `memory.pressure`.
pub(in crate::memory) fn pressure(bytes: &[u8]) -> Result<Pressure, Reason> {
    Ok(Pressure {
        some: pressure_share(bytes, b"some ")?,
        full: pressure_share(bytes, b"full ")?,
    })
}

fn pressure_share(bytes: &[u8], kind: &[u8]) -> Result<PressureShare, Reason> {
    let line = line_after(bytes, kind).ok_or(MISSING)?;
    let figure = |name: &[u8]| {
        let word = words(line).find_map(|word| word.strip_prefix(name));
        percent(word.ok_or(MISSING)?)
    };
    Ok(PressureShare {
        avg10_percent: figure(b"avg10=")?,
        avg60_percent: figure(b"avg60=")?,
        avg300_percent: figure(b"avg300=")?,
    })
}

/// Digits and one point, 0 to 100. The standard library's parser would take `inf`, `nan` and `1e1` too.
fn percent(word: &[u8]) -> Result<f64, Reason> {
    let plain = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if !word.iter().all(plain) {
        return Err(NOT_A_NUMBER);
    }
    let value = std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    value
        .ok_or(NOT_A_NUMBER)
        .and_then(|value| (value <= 100.0).then_some(value).ok_or(TOO_LARGE))
}

/// The paths of this process's control groups, as `/proc/self/cgroup` tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::memory) struct GroupPaths {
    /// Of the unified hierarchy (v2).
    pub(in crate::memory) unified: Option<String>,
    /// Of the v1 hierarchy that has the memory controller.
    pub(in crate::memory) memory: Option<String>,
}

/// Reads `/proc/self/cgroup`. A path that is not absolute, or climbs, is left out: it would name files of somebody else.
pub(in crate::memory) fn groups(bytes: &[u8]) -> GroupPaths {
    let mut paths = GroupPaths::default();
    for line in lines(bytes) {
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // In a v2 container the kernel marks a group outside of what is mounted by `/..`.
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            continue;
        }
        if id == "0" && controllers.is_empty() {
            paths.unified = Some(path.to_owned());
        } else if controllers.split(',').any(|name| name == "memory") {
            paths.memory = Some(path.to_owned());
        }
    }
    paths
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

fn line_after<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    lines(bytes).find_map(|line| line.strip_prefix(name))
}

/// Digits alone: no sign, no point, nothing that overflows.
fn integer(word: &[u8]) -> Result<u64, Reason> {
    if !word.iter().all(u8::is_ascii_digit) {
        return Err(NOT_A_NUMBER);
    }
    let mut value = 0_u64;
    for digit in word {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or(TOO_LARGE)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every parser, so that none is forgotten by the tests over anything at all.
    fn all(bytes: &[u8]) -> Vec<Result<u64, Reason>> {
        vec![
            statm(bytes).map(|(total, resident)| total ^ resident),
            status_field(bytes, "VmHWM:"),
            number(bytes),
            limit(bytes).map(Option::unwrap_or_default),
            keyed(bytes, "oom_kill"),
            pressure(bytes).map(|pressure| pressure.some.avg10_percent as u64),
        ]
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(statm(b"2543 612 498 1 0 201 0\n"), Ok((2543, 612)));
        let status = b"Name:\tapp\nVmPeak:\t  9000 kB\nVmHWM:\t    4321 kB\nThreads:\t17\n";
        assert_eq!(status_field(status, "VmHWM:"), Ok(4321 * 1024));
        assert_eq!(status_field(status, "Threads:"), Ok(17));
        assert_eq!(status_field(status, "VmSwap:"), Err(MISSING));
        assert_eq!(limit(b"max\n"), Ok(None));
        assert_eq!(limit(b"9223372036854771712\n"), Ok(None));
        assert_eq!(limit(b"1048576\n"), Ok(Some(1 << 20)));
        let events = b"low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(keyed(events, "oom_kill"), Ok(3));
        let psi = b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1\nfull avg10=0.75 avg60=0.10 avg300=0.00 total=1\n";
        let read = pressure(psi).unwrap();
        assert_eq!(
            (read.some.avg10_percent, read.full.avg60_percent),
            (1.5, 0.1)
        );
        let read = groups(b"12:pids:/a\n4:cpu,memory:/docker/x\n0::/user.slice/b\n");
        assert_eq!(read.memory.as_deref(), Some("/docker/x"));
        assert_eq!(read.unified.as_deref(), Some("/user.slice/b"));
    }

    #[test]
    fn nonsense_is_a_reason_and_no_number() {
        let nonsense: [&[u8]; 14] = [
            b"",
            b"\n\n",
            b" ",
            b"-5 -4\n",
            b"+5 +4",
            b"1e3 7e2",
            b"0x10 0x8",
            b"12.5 3.0",
            b"99999999999999999999999999 1",
            b"\xff\xfe\x00",
            b"nan inf",
            b"oom_kill",
            b"oom_kill -1\nVmHWM: -4 kB",
            b"VmHWM:\t18446744073709551615 kB\noom_kill 99999999999999999999",
        ];
        for bytes in nonsense {
            for (which, read) in all(bytes).into_iter().enumerate() {
                assert!(read.is_err(), "parser {which} read {read:?} of {bytes:?}");
            }
        }
        assert!(statm(b"5 6 0").is_err(), "more resident than there is");
        assert!(status_field(b"VmHWM: 5 MB", "VmHWM:").is_err());
        assert!(number(b"1 2").is_err());
        for psi in [
            "some avg10=101.0 avg60=0 avg300=0\nfull avg10=0 avg60=0 avg300=0",
            "some avg10=-1 avg60=0 avg300=0\nfull avg10=0 avg60=0 avg300=0",
            "some avg10=inf avg60=0 avg300=0\nfull avg10=0 avg60=0 avg300=0",
            "some avg10=. avg60=0 avg300=0\nfull avg10=0 avg60=0 avg300=0",
            "some avg10=1 avg60=0 avg300=0",
        ] {
            assert!(pressure(psi.as_bytes()).is_err(), "{psi}");
        }
        for path in [
            "0::relative",
            "0::/../../etc",
            "0::",
            "memory:/x",
            "4:memory",
        ] {
            assert_eq!(groups(path.as_bytes()), GroupPaths::default(), "{path}");
        }
        assert!(pages(u64::MAX, 4096).is_err());
    }

    proptest! {
        #[test]
        fn anything_at_all_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (all(&bytes), groups(&bytes));
        }

        /// Texts that look nearly right, which is where a parser goes wrong.
        #[test]
        fn a_number_is_taken_only_as_it_stands(text in "[-+ ]{0,2}[0-9]{0,25}[a-z.]{0,2}\n?") {
            let told = text.trim().parse::<u64>().ok().filter(|_| !text.contains('+'));
            prop_assert_eq!(number(text.as_bytes()).ok(), told);
        }

        #[test]
        fn every_figure_comes_back_as_it_was_written(total in any::<u64>(), resident in any::<u64>(), kb in 0..u64::MAX / 1024) {
            let read = statm(format!("{total} {resident} 3 4\n").as_bytes());
            prop_assert_eq!(read.ok(), (resident <= total).then_some((total, resident)));
            let read = status_field(format!("A: 1\nVmSwap:\t{kb} kB\n").as_bytes(), "VmSwap:");
            prop_assert_eq!(read, Ok(kb * 1024));
            prop_assert_eq!(keyed(format!("oom 1\noom_kill {total}\n").as_bytes(), "oom_kill"), Ok(total));
        }

        /// A line cut anywhere gives a prefix of the number at worst where the cut is inside it; never a panic.
        #[test]
        fn cut_files_do_no_harm(cut in 0_usize..110) {
            let psi = b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1\nfull avg10=0.75 avg60=0.10 avg300=0.00 total=1\n";
            let _ = pressure(&psi[..cut.min(psi.len())]);
        }
    }
}
