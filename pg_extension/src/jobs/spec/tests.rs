use super::*;
use serde_json::json;

#[test]
fn kinds_and_options_are_read() {
    assert_eq!(
        Spec::parse("vacuum", &json!({"full": true})).unwrap(),
        Spec::Vacuum(Vacuum {
            full: true,
            ..Vacuum::default()
        })
    );
    assert_eq!(
        Spec::parse(
            "vacuum",
            &json!({"freeze": true, "parallel": 2, "index_cleanup": false})
        )
        .unwrap(),
        Spec::Vacuum(Vacuum {
            freeze: true,
            parallel: Some(2),
            index_cleanup: Some("OFF"),
            ..Vacuum::default()
        })
    );
    assert_eq!(
        Spec::parse("refresh_matview", &json!({})).unwrap(),
        Spec::RefreshMatview { concurrently: true }
    );
    assert_eq!(Spec::parse("analyze", &json!({})).unwrap(), Spec::Analyze);
    assert_eq!(
        Spec::parse("create_index", &json!({"columns": ["a\"b"], "name": "x"})).unwrap(),
        Spec::CreateIndex {
            over: Over::Columns {
                keys: vec!["a\"b".into()],
                include: Vec::new(),
            },
            name: Some("x".into())
        }
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    for (kind, options) in [
        ("reboot", json!({})),
        ("VACUUM", json!({})),
        ("vacuum", json!({"ful": true})),
        ("vacuum", json!({"full": "yes"})),
        ("vacuum", json!([])),
        ("vacuum", json!({"parallel": -1})),
        ("vacuum", json!({"parallel": 1.5})),
        ("vacuum", json!({"parallel": "2"})),
        ("vacuum", json!({"full": true, "parallel": 2})),
        ("vacuum", json!({"index_cleanup": "maybe"})),
        ("reindex", json!({"concurrently": true})),
        ("refresh_matview", json!({"concurrently": 1})),
        ("vacuum_due", json!({"limit": 0})),
        ("vacuum_due", json!({"min_size_mb": 1})),
        ("rebuild_bloated_indexes", json!({"min_bloat_percent": 101})),
        ("analyze", json!({"full": true})),
        ("create_index", json!({})),
        ("create_index", json!({"definition": ["(a)"]})),
        ("create_index", json!({"definition": "(a)\0"})),
        (
            "create_index",
            json!({"definition": "(a)", "columns": ["a"]}),
        ),
        (
            "create_index",
            json!({"definition": "(a)", "include": ["a"]}),
        ),
        ("create_index", json!({"columns": []})),
        ("create_index", json!({"columns": [1]})),
        ("create_index", json!({"columns": ["a", "a"]})),
        (
            "create_index",
            json!({"columns": ["a"], "include": ["b", "a"]}),
        ),
        ("create_index", json!({"columns": [], "include": ["a"]})),
        ("create_index", json!({"columns": ["a"], "include": "b"})),
        ("create_index", json!({"columns": "a"})),
        ("create_index", json!({"columns": ["a"], "name": ""})),
        ("statistics", json!({})),
        ("statistics", json!({"columns": ["a"]})),
        ("statistics", json!({"columns": [], "target": 1})),
        ("statistics", json!({"columns": ["a", "a"], "target": 1})),
        ("statistics", json!({"columns": ["a"], "target": 10_001})),
        ("statistics", json!({"columns": ["a"], "target": -2})),
        (
            "statistics",
            json!({"columns": ["a"], "target": 1, "name": "n"}),
        ),
        ("statistics", json!({"columns": ["a"], "kinds": ["mcv"]})),
        ("statistics", json!({"columns": ["a", "b"], "kinds": []})),
        (
            "statistics",
            json!({"columns": ["a", "b"], "kinds": ["mcv", "most"]}),
        ),
        ("statistics", json!({"columns": ["a", "b"], "kinds": "mcv"})),
        (
            "statistics",
            json!({"columns": ["a", "b"], "kinds": ["mcv"], "target": 1}),
        ),
        (
            "statistics",
            json!({"columns": ["a", "b", "c", "d", "e", "f", "g", "h", "i"], "kinds": ["mcv"]}),
        ),
        (
            "create_index",
            json!({"columns": (0..33).map(|n| n.to_string()).collect::<Vec<_>>()}),
        ),
    ] {
        assert!(Spec::parse(kind, &options).is_err(), "{kind} {options}");
    }
}

#[test]
fn options_that_say_the_same_are_written_the_same() {
    for (kind, given, written) in [
        (
            "vacuum",
            json!({"full": false, "freeze": false, "analyze": false}),
            json!({}),
        ),
        (
            "vacuum",
            json!({"full": true, "analyze": false}),
            json!({"full": true}),
        ),
        // What the table or the server decides is another thing than what is said.
        (
            "vacuum",
            json!({"parallel": 0, "index_cleanup": "auto"}),
            json!({"parallel": 0, "index_cleanup": "auto"}),
        ),
        (
            "vacuum",
            json!({"index_cleanup": false}),
            json!({"index_cleanup": false}),
        ),
        ("analyze", json!(null), json!({})),
        ("refresh_matview", json!({"concurrently": true}), json!({})),
        (
            "refresh_matview",
            json!({"concurrently": false}),
            json!({"concurrently": false}),
        ),
        (
            "create_index",
            json!({"columns": ["b", "a"], "include": [], "name": null}),
            json!({"columns": ["b", "a"]}),
        ),
        ("vacuum_due", json!({"limit": 100}), json!({})),
        (
            "rebuild_bloated_indexes",
            json!({"limit": 5, "min_bloat_percent": 50, "min_size_mb": 10.0}),
            json!({"limit": 5}),
        ),
        (
            "statistics",
            json!({"columns": ["b", "a"], "kinds": ["mcv", "ndistinct", "mcv"], "name": null}),
            json!({"columns": ["a", "b"], "kinds": ["ndistinct", "mcv"]}),
        ),
        (
            "statistics",
            json!({"columns": ["b", "a"], "target": 500}),
            json!({"columns": ["a", "b"], "target": 500}),
        ),
    ] {
        let spec = Spec::parse(kind, &given).unwrap();
        assert_eq!(spec.options(), written, "{kind} {given}");
        assert_eq!(Spec::parse(kind, &written).unwrap(), spec, "{kind}");
    }
}
