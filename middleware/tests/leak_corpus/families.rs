//! The families. Rates, sizes and shapes are drawn around what the sources describe; the series are made, not measured.

use super::{
    Family, MIB, Series,
    load::{DAY, daily, flat, traffic},
    random::Random,
};

/// The ground that every series stands on: a level, noise, memory of requests in flight.
struct Ground {
    minutes: usize,
    level: f64,
    bytes: Vec<f64>,
    requests: Vec<f64>,
}

impl Ground {
    fn new(random: &mut Random) -> Self {
        let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
        let requests = traffic(random, minutes);
        Self::under(random, minutes, requests)
    }

    fn under(random: &mut Random, minutes: usize, requests: Vec<f64>) -> Self {
        let level = random.spread(60.0, 4_000.0) * MIB;
        let (quick, slow) = (random.between(0.001, 0.006), random.between(0.0005, 0.004));
        let slow_minutes = random.between(5.0, 40.0);
        let quick = random.noise(minutes, quick * level, 0.5);
        let slow = random.noise(minutes, slow * level, slow_minutes);
        // Buffers, sessions and connections come and go with the traffic.
        let busy = random.between(0.0, 0.12) * level;
        let most = requests.iter().copied().fold(1.0, f64::max);
        let bytes = (0..minutes)
            .map(|at| {
                let start = level * -0.15 * (-(at as f64) / 8.0).exp();
                level + start + quick[at].abs() + slow[at] + busy * requests[at] / most
            })
            .collect();
        Self {
            minutes,
            level,
            bytes,
            requests,
        }
    }

    fn add(&mut self, mut more: impl FnMut(usize) -> f64) -> &mut Self {
        for (at, bytes) in self.bytes.iter_mut().enumerate() {
            *bytes += more(at);
        }
        self
    }

    /// Share of all requests that have come by each minute, scaled so that its mean rate is 1 a minute.
    fn progress(&self) -> Vec<f64> {
        let mean = self.requests.iter().sum::<f64>() / self.minutes as f64;
        let mut sum = 0.0;
        let progress = self.requests.iter().map(|requests| {
            sum += requests / mean;
            sum
        });
        progress.collect()
    }

    /// Bytes a minute of a leak that adds such a share of the level in a day.
    fn a_minute(&self, share_a_day: f64) -> f64 {
        self.level * share_a_day / DAY as f64
    }

    fn series(self) -> Series {
        Series {
            bytes: self.bytes,
            requests: self.requests,
        }
    }
}

/// How much a leak adds in a day, as a share of the level: from what an operator would find after a week to what kills
/// within a day.
fn share(random: &mut Random) -> f64 {
    random.spread(0.05, 1.5)
}

/// When it begins: with the process, or with a change of use later.
fn begin(random: &mut Random, minutes: usize) -> usize {
    if random.chance(0.6) {
        0
    } else {
        (random.between(0.05, 0.35) * minutes as f64) as usize
    }
}

fn constant_leak(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (rate, begin) = (
        ground.a_minute(share(random)),
        begin(random, ground.minutes),
    );
    ground.add(|at| rate * at.saturating_sub(begin) as f64);
    ground.series()
}

fn leak_by_traffic(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (rate, begin) = (
        ground.a_minute(share(random)),
        begin(random, ground.minutes),
    );
    let progress = ground.progress();
    ground.add(|at| rate * (progress[at] - progress[begin]).max(0.0));
    ground.series()
}

fn leak_by_daily_traffic(random: &mut Random) -> Series {
    let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
    let mean = random.spread(50.0, 20_000.0);
    let requests = daily(random, minutes, mean);
    let mut ground = Ground::under(random, minutes, requests);
    let rate = ground.a_minute(share(random));
    let progress = ground.progress();
    ground.add(|at| rate * progress[at]);
    ground.series()
}

/// Rises only while jobs run, a few times a day, and never goes back.
fn leak_by_batches(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let a_day = random.between(6.0, 48.0);
    let batch = ground.a_minute(share(random)) * DAY as f64 / a_day;
    let (period, phase) = (DAY as f64 / a_day, random.unit());
    let uneven: Vec<f64> = (0..1_000).map(|_| random.between(0.5, 1.5)).collect();
    ground.add(|at| {
        let batches = (at as f64 / period + phase) as usize;
        batch * uneven[..batches.min(1_000)].iter().sum::<f64>()
    });
    ground.series()
}

/// A map or vector that grows without end: memory doubles in steps, each larger than the last, entries fill it in between.
fn growing_map(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let rate = ground.a_minute(share(random) * 1.2);
    let entries = random.between(0.5, 0.8);
    let unit = rate * random.between(60.0, 600.0);
    ground.add(|at| {
        let wanted = rate * at as f64;
        let table = unit * 2_f64.powf((wanted / unit).max(1.0).log2().floor());
        entries * wanted + (1.0 - entries) * table.min(wanted * 2.0)
    });
    ground.series()
}

/// A leak under a sawtooth of garbage or buffers that are flushed.
fn leak_under_sawtooth(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let rate = ground.a_minute(share(random));
    let (tooth, period) = (
        random.between(0.02, 0.25) * ground.level,
        random.spread(5.0, 90.0),
    );
    ground.add(|at| rate * at as f64 + tooth * (at as f64 / period).fract());
    ground.series()
}

/// A cache that fills first, then a leak that was there all along.
fn leak_after_warm_up(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let rate = ground.a_minute(share(random).max(0.08));
    let (fills, minutes) = (
        random.between(0.1, 1.0) * ground.level,
        random.spread(20.0, 400.0),
    );
    ground.add(|at| rate * at as f64 + fills * (1.0 - (-(at as f64) / minutes).exp()));
    ground.series()
}

/// Accelerating: each retained item retains others.
fn accelerating(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let whole = ground.a_minute(share(random)) * ground.minutes as f64;
    let (minutes, power) = (ground.minutes as f64, random.between(1.1, 1.6));
    ground.add(|at| whole * (at as f64 / minutes).powf(power));
    ground.series()
}

/// An unbounded channel whose consumer is slower than its producer at busy hours only, and keeps what it has at others.
fn unbounded_channel(random: &mut Random) -> Series {
    let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
    let mean = random.spread(500.0, 20_000.0);
    let requests = daily(random, minutes, mean);
    let mut ground = Ground::under(random, minutes, requests);
    let capacity = mean * random.between(0.9, 1.1);
    let item = ground.a_minute(share(random)) * DAY as f64
        / ground
            .requests
            .iter()
            .map(|requests| (requests - capacity).max(0.0))
            .sum::<f64>()
            .max(1.0)
        * (ground.minutes as f64 / DAY as f64);
    let mut queue = 0.0;
    let requests = ground.requests.clone();
    ground.add(|at| {
        queue += (requests[at] - capacity).max(0.0);
        item * queue
    });
    ground.series()
}

fn steady(random: &mut Random) -> Series {
    Ground::new(random).series()
}

fn daily_cycle(random: &mut Random) -> Series {
    let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
    let mean = random.spread(50.0, 20_000.0);
    let requests = daily(random, minutes, mean);
    let mut ground = Ground::under(random, minutes, requests.clone());
    let (swing, lag) = (
        random.between(0.1, 0.6) * ground.level,
        random.between(1.0, 120.0),
    );
    let most = requests.iter().copied().fold(1.0, f64::max);
    // Pools and sessions follow the traffic with some delay.
    let mut follows = requests[0] / most;
    ground.add(|at| {
        follows += (requests[at] / most - follows) / lag;
        swing * follows
    });
    ground.series()
}

fn warm_up(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (fills, minutes) = (
        random.between(0.05, 2.0) * ground.level,
        random.spread(15.0, 600.0),
    );
    ground.add(|at| fills * (1.0 - (-(at as f64) / minutes).exp()));
    ground.series()
}

/// Fills at an even rate until it is full.
fn bounded_cache(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let full = random.between(0.1, 1.0) * ground.level;
    let hours = random.spread(2.0, 36.0);
    ground.add(|at| full * (at as f64 / (hours * 60.0)).min(1.0));
    ground.series()
}

fn sawtooth(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (tooth, period) = (
        random.between(0.03, 0.6) * ground.level,
        random.spread(4.0, 360.0),
    );
    ground.add(|at| tooth * (at as f64 / period).fract());
    ground.series()
}

/// Compaction, log rotation, a nightly job: rises for most of a day and falls back.
fn daily_sawtooth(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (tooth, phase) = (random.between(0.05, 0.4) * ground.level, random.unit());
    ground.add(|at| tooth * (at as f64 / DAY as f64 + phase).fract());
    ground.series()
}

fn step(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let steps = 1 + (random.unit() * 2.0) as usize;
    let all: Vec<(usize, f64)> = (0..steps)
        .map(|_| {
            let at = (random.between(0.05, 0.95) * ground.minutes as f64) as usize;
            (at, random.between(0.03, 0.6) * ground.level)
        })
        .collect();
    ground.add(|at| {
        all.iter()
            .filter(|step| step.0 <= at)
            .map(|step| step.1)
            .sum()
    });
    ground.series()
}

/// Batches that take memory for some minutes to hours and give it back.
fn batches(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (size, period) = (
        random.between(0.1, 0.8) * ground.level,
        random.between(180.0, 1_440.0),
    );
    let lasts = random.between(0.05, 0.4) * period;
    let ramp = random.between(1.0, 60.0);
    ground.add(|at| {
        let into = at as f64 % period;
        size * (into / ramp).min(1.0) * f64::from(u8::from(into < lasts))
    });
    ground.series()
}

/// Fragmentation: rises ever less for days, as the square root or logarithm of what was served.
fn fragmentation(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (most, half) = (
        random.between(0.05, 0.4) * ground.level,
        random.spread(30.0, 500.0),
    );
    ground.add(|at| most * (1.0 + at as f64 / half).ln() / (1.0 + 8_000.0 / half).ln());
    ground.series()
}

/// Arenas, one a thread that ever was busy: a few dozen steps, ever rarer, to a plateau.
fn arenas(random: &mut Random) -> Series {
    let mut ground = Ground::new(random);
    let (count, minutes) = (random.between(4.0, 64.0), random.spread(20.0, 500.0));
    let arena = random.between(0.1, 0.5) * ground.level / count;
    let begins: Vec<f64> = (0..count as usize)
        .map(|_| -(1.0 - random.unit()).ln() * minutes)
        .collect();
    ground.add(|at| arena * begins.iter().filter(|begin| **begin <= at as f64).count() as f64);
    ground.series()
}

/// Blocking threads that are made under load and end when idle.
fn thread_stacks(random: &mut Random) -> Series {
    let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
    let mean = random.spread(50.0, 5_000.0);
    let requests = if random.chance(0.5) {
        daily(random, minutes, mean)
    } else {
        flat(random, minutes, mean)
    };
    let mut ground = Ground::under(random, minutes, requests);
    let stack = random.between(0.02, 0.2) * ground.level;
    let waves = random.noise(ground.minutes, 0.5, 30.0);
    ground.add(|at| stack * waves[at].abs().min(2.0));
    ground.series()
}

/// Traffic that grows over the week, and memory with it.
fn growing_traffic(random: &mut Random) -> Series {
    let minutes = (random.between(4.0, 7.0) * DAY as f64) as usize;
    let growth = random.between(0.15, 0.8);
    let mean = random.spread(200.0, 20_000.0);
    let mut requests = daily(random, minutes, mean);
    for (at, requests) in requests.iter_mut().enumerate() {
        *requests *= 1.0 + growth * at as f64 / minutes as f64;
    }
    let mut ground = Ground::under(random, minutes, requests.clone());
    let swing = random.between(0.1, 0.5) * ground.level;
    let most = requests.iter().copied().fold(1.0, f64::max);
    ground.add(|at| swing * requests[at] / most);
    ground.series()
}

/// All of them.
pub const FAMILIES: [Family; 26] = [
    Family {
        name: "map without eviction",
        source: "github.com/bug-ops/zeph/issues/4903 (tasks kept in a map for ever), github.com/ChainSafe/forest/issues/2440 (700 MB an hour in two maps)",
        is_leak: true,
        make: growing_map,
    },
    Family {
        name: "unbounded channel",
        source: "github.com/getsentry/snuba/issues/5874 (an unbounded channel before a slow client), github.com/libp2p/rust-libp2p/pull/2823",
        is_leak: true,
        make: unbounded_channel,
    },
    Family {
        name: "per-connection leak",
        source: "github.com/tokio-rs/mini-redis/issues/38 (a node a connection, freed at the end of the process alone), github.com/hyperium/hyper/issues/1717",
        is_leak: true,
        make: leak_by_daily_traffic,
    },
    Family {
        name: "per-request leak",
        source: "github.com/aio-libs/aiohttp/issues/10548 (requests in a cycle)",
        is_leak: true,
        make: leak_by_traffic,
    },
    Family {
        name: "tasks that never end",
        source: "github.com/paritytech/jsonrpsee/pull/1204 (finished calls kept until shutdown), github.com/maxcountryman/underway/issues/106 (20 MB a day)",
        is_leak: true,
        make: constant_leak,
    },
    Family {
        name: "timer that keeps its closure",
        source: "github.com/tokio-rs/tokio/issues/5861 (wakers that keep cancelled futures, 20 GB a day)",
        is_leak: true,
        make: constant_leak,
    },
    Family {
        name: "reference cycle",
        source: "github.com/redbadger/crux/issues/268 (a task that holds its own waker)",
        is_leak: true,
        make: leak_by_traffic,
    },
    Family {
        name: "metrics with unbounded labels",
        source: "github.com/flyteorg/flyte/pull/5704 and github.com/BerriAI/litellm/issues/12159 (series that are never dropped)",
        is_leak: true,
        make: leak_by_daily_traffic,
    },
    Family {
        name: "batch job that keeps rows",
        source: "github.com/arachnys/cabot/issues/257 (workers that grow with each task)",
        is_leak: true,
        make: leak_by_batches,
    },
    Family {
        name: "leak under garbage collection",
        source: "github.com/statsig-io/statsig-server-core/pull/47 (a sawtooth on a baseline that rises)",
        is_leak: true,
        make: leak_under_sawtooth,
    },
    Family {
        name: "leak behind a warm cache",
        source: "github.com/reown-com/blockchain-api/issues/133 (creeps up after each deployment), github.com/gocd/gocd/issues/496",
        is_leak: true,
        make: leak_after_warm_up,
    },
    Family {
        name: "listeners that register listeners",
        source: "github.com/Paratii-Video/paratii-js/issues/272 (a listener added by each call)",
        is_leak: true,
        make: accelerating,
    },
    Family {
        name: "native buffers behind a binding",
        source: "github.com/node-ffi-napi/node-ffi-napi/issues/163 and github.com/xorbit/node-aes-gcm/pull/8 (resident memory rises, the heap does not)",
        is_leak: true,
        make: leak_by_traffic,
    },
    Family {
        name: "steady service",
        source: "github.com/mgedmin/indicator-netspeed/issues/3 (constant over twelve hours)",
        is_leak: false,
        make: steady,
    },
    Family {
        name: "steady service, other noise",
        source: "github.com/openaustralia/planningalerts/issues/1295 (stable over two months)",
        is_leak: false,
        make: steady,
    },
    Family {
        name: "daily cycle",
        source: "github.com/devantler-tech/platform/issues/3977 (cycles between 40 and 130 MiB over a week)",
        is_leak: false,
        make: daily_cycle,
    },
    Family {
        name: "cache warm-up",
        source: "github.com/Netis/heron/pull/136 (a buffer pool that fills, taken for a leak), github.com/devantler-tech/platform/issues/3977",
        is_leak: false,
        make: warm_up,
    },
    Family {
        name: "bounded cache that fills evenly",
        source: "github.com/GeneMANIA/genemania/issues/118 (grows until its caches are full)",
        is_leak: false,
        make: bounded_cache,
    },
    Family {
        name: "garbage sawtooth",
        source: "github.com/nodejs/node-addon-api/issues/829 (rises and drops with each collection)",
        is_leak: false,
        make: sawtooth,
    },
    Family {
        name: "nightly compaction",
        source: "github.com/celery/celery/issues/4125 (climbs until the worker is replaced, over and over)",
        is_leak: false,
        make: daily_sawtooth,
    },
    Family {
        name: "step at a change of use",
        source: "github.com/hyperium/hyper/issues/1491 (jumps of 60 to 100 MB)",
        is_leak: false,
        make: step,
    },
    Family {
        name: "periodic batches",
        source: "github.com/celery/celery/issues/3279 (165 to 809 MB while 30,000 jobs are sent)",
        is_leak: false,
        make: batches,
    },
    Family {
        name: "fragmentation",
        source: "github.com/Dicklesworthstone/mcp_agent_mail_rust/issues/161 and github.com/samsoir/xearthlayer/issues/227 (retained, not leaked)",
        is_leak: false,
        make: fragmentation,
    },
    Family {
        name: "arenas of threads",
        source: "github.com/iden3/go-rapidsnark/issues/28 (an arena a thread, then a plateau), github.com/samsoir/xearthlayer/pull/244",
        is_leak: false,
        make: arenas,
    },
    Family {
        name: "blocking threads",
        source: "docs.rs/tokio, runtime::Builder::thread_keep_alive (idle blocking threads end), github.com/amule-org/amule/pull/1095",
        is_leak: false,
        make: thread_stacks,
    },
    Family {
        name: "traffic that grows",
        source: "github.com/hyperium/hyper/issues/3897 (memory follows the number of requests)",
        is_leak: false,
        make: growing_traffic,
    },
];
