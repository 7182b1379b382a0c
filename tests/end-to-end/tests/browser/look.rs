//! How a page looks: in light or dark, on a small screen, to those who cannot see it, and as a picture.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Browser;

/// axe-core, as published.
const AXE: &str = include_str!("../../axe/axe.min.js");

/// Sheets are not loaded once more by axe itself: the page's policy would call that a breach.
const JUDGE: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, { preload: false, resultTypes: ['violations'] }).then(
        (found) => done({ passes: found.passes.length, violations: found.violations.map((rule) =>
            `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`) }),
        (error) => done({ violations: [String(error)] }));";

/// Which colours somebody prefers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Browser {
    async fn tell(&self, method: &str, parameters: Value) -> Value {
        let body = json!({"cmd": method, "params": parameters});
        self.session.post("/goog/cdp/execute", body).await.unwrap()
    }

    pub(crate) async fn prefer(&self, scheme: Scheme) {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme.name()}]);
        self.tell("Emulation.setEmulatedMedia", json!({"features": feature}))
            .await;
    }

    /// A screen of that many CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// By how many pixels the page is wider than the screen, and what of it sticks out.
    pub(crate) async fn overflow(&self) -> Value {
        let script = "const wide = document.documentElement.scrollWidth - innerWidth;
            const out = wide <= 0 ? [] : [...document.querySelectorAll('body *')].filter((one) =>
                one.getBoundingClientRect().right > innerWidth + 0.5 && !one.closest('.scroll, nav, pre')).map((one) =>
                one.outerHTML.slice(0, 120)).slice(0, 5);
            return { pixels: Math.max(0, wide), out };";
        self.run(script, json!([])).await
    }

    /// What axe-core finds wrong with the page as it is now.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let is_there = self.run("return typeof axe === 'object'", json!([])).await;
        if is_there != true {
            self.run(AXE, json!([])).await;
        }
        let found = self.run_until_it_calls_back(JUDGE).await;
        assert_ne!(found["passes"], 0, "axe looked at nothing");
        let list = found["violations"].as_array().unwrap().iter();
        list.map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// A picture of the page as PNG: all of it, or what the screen shows.
    pub(crate) async fn picture(&self, whole: bool) -> Vec<u8> {
        let mut how = json!({"format": "png", "captureBeyondViewport": whole});
        if whole {
            let size = &self.tell("Page.getLayoutMetrics", json!({})).await["cssContentSize"];
            // Bounded: a page may have thousands of rows.
            let height = size["height"].as_f64().unwrap().min(6000.0);
            how["clip"] =
                json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        }
        let answer = self.tell("Page.captureScreenshot", how).await;
        BASE64_STANDARD
            .decode(answer["data"].as_str().unwrap())
            .unwrap()
    }
}

#[test]
fn axe_is_what_was_published() {
    use sha2::{Digest, Sha256};
    let sum: String = Sha256::digest(AXE.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(include_str!("../../axe/README.md").contains(&sum), "{sum}");
}
