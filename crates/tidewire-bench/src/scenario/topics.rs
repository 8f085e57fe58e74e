//! Topics and filters of a flow.

use super::{Flow, Routing, TopicReuse};
use crate::encode::Topic;

/// Topics one publisher repeats when it has many filters to hit.
const REPEATED_TOPICS: usize = 100;

/// Filters each subscriber holds.
pub type FilterSet = Vec<String>;

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Per publisher: the topics it uses in turn.
    pub topics: Vec<Vec<Topic>>,
    /// Per subscriber: its filters.
    pub filters: Vec<FilterSet>,
}

impl TopicPlan {
    /// Lays out topics and filters for `flow`, all below `root` (one level, so that runs do not meet).
    #[must_use]
    pub fn new(flow: &Flow, root: &str) -> Self {
        let publishers = 0..flow.publishers;
        let subscribers = 0..flow.subscribers;
        let own = |n: usize| format!("{root}/p/{n}");
        match flow.routing {
            Routing::Pairs => Self {
                topics: publishers.map(|n| vec![Topic::fixed(own(n))]).collect(),
                filters: subscribers.map(|n| vec![own(n)]).collect(),
            },
            Routing::Wildcard => Self {
                topics: publishers.map(|n| vec![Topic::fixed(own(n))]).collect(),
                filters: subscribers.map(|_| vec![format!("{root}/p/+")]).collect(),
            },
            Routing::OneTopic => Self {
                topics: publishers.map(|_| vec![Topic::fixed(own(0))]).collect(),
                filters: subscribers.map(|_| vec![own(0)]).collect(),
            },
            Routing::SharedGroup => Self {
                topics: publishers.map(|_| vec![Topic::fixed(own(0))]).collect(),
                filters: subscribers
                    .map(|_| vec![format!("$share/group/{}", own(0))])
                    .collect(),
            },
            Routing::ManyFilters { filters, topics } => {
                many(flow.subscribers, filters, topics, root)
            }
            Routing::Adversarial { depth } => adversarial(flow.subscribers, depth, root),
        }
    }
}

/// The four shapes of filters, a quarter each.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Exact,
    Plus,
    Hash,
    Mixed,
}

impl Shape {
    fn of(filter: usize) -> Self {
        match filter % 4 {
            0 => Self::Exact,
            1 => Self::Plus,
            2 => Self::Hash,
            _ => Self::Mixed,
        }
    }

    fn filter(self, root: &str, id: usize) -> String {
        match self {
            Self::Exact => format!("{root}/{id:07}/e/t"),
            Self::Plus => format!("{root}/{id:07}/+/t"),
            Self::Hash => format!("{root}/{id:07}/h/#"),
            Self::Mixed => format!("{root}/+/{id:07}/#"),
        }
    }

    /// A topic that this filter matches and no other does; distinct ones need a wildcard.
    fn topic(self, root: &str, id: usize, reuse: TopicReuse) -> Topic {
        let (before, after) = match self {
            Self::Exact => return Topic::fixed(self.filter(root, id)),
            Self::Plus => (format!("{root}/{id:07}/c"), "/t"),
            Self::Hash => (format!("{root}/{id:07}/h/"), ""),
            Self::Mixed => (format!("{root}/m/{id:07}/"), ""),
        };
        match reuse {
            TopicReuse::Distinct => Topic::counted(&before, after),
            TopicReuse::Repeated | TopicReuse::EveryFilter => {
                Topic::fixed(format!("{before}0{after}"))
            }
        }
    }
}

fn many(pairs: usize, filters: usize, reuse: TopicReuse, root: &str) -> TopicPlan {
    let each = (filters / pairs).max(4);
    let mut plan = TopicPlan {
        topics: Vec::new(),
        filters: Vec::new(),
    };
    for pair in 0..pairs {
        let ids: Vec<usize> = (pair * each..(pair + 1) * each).collect();
        plan.filters.push(
            ids.iter()
                .map(|&id| Shape::of(id).filter(root, id))
                .collect(),
        );
        // An odd step visits all four shapes in turn.
        let (step, most) = match reuse {
            TopicReuse::EveryFilter => (1, each),
            _ => ((each / REPEATED_TOPICS).max(1) | 1, REPEATED_TOPICS),
        };
        let usable = ids.into_iter().step_by(step).filter(|id| match reuse {
            TopicReuse::Repeated | TopicReuse::EveryFilter => true,
            TopicReuse::Distinct => !matches!(Shape::of(*id), Shape::Exact),
        });
        let topics = usable
            .take(most)
            .map(|id| Shape::of(id).topic(root, id, reuse));
        plan.topics.push(topics.collect());
    }
    plan
}

/// All `2^depth` combinations of a literal and `+` that end in a level no topic has, dealt out to the
/// subscribers, and for each subscriber one filter that does match.
fn adversarial(pairs: usize, depth: usize, root: &str) -> TopicPlan {
    let literal = vec!["a"; depth].join("/");
    let mut filters: Vec<FilterSet> = vec![Vec::new(); pairs];
    for mask in 0..1usize << depth {
        let levels: Vec<&str> = (0..depth)
            .map(|level| if mask >> level & 1 == 1 { "+" } else { "a" })
            .collect();
        filters[mask % pairs].push(format!("{root}/{}/none/#", levels.join("/")));
    }
    for (pair, filters) in filters.iter_mut().enumerate() {
        filters.push(format!("{root}/{literal}/hit{pair}/#"));
    }
    let hit = |pair| Topic::counted(&format!("{root}/{literal}/hit{pair}/"), "");
    TopicPlan {
        topics: (0..pairs).map(|pair| vec![hit(pair)]).collect(),
        filters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Plan, catalogue};

    /// The specification's matching rule, spelt out for names without `$`.
    fn matches(filter: &str, topic: &str) -> bool {
        let filter = filter.strip_prefix("$share/group/").unwrap_or(filter);
        let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
        loop {
            match (filters.next(), levels.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }

    fn small(mut flow: Flow) -> Flow {
        match &mut flow.routing {
            Routing::ManyFilters { filters, .. } => *filters = 400,
            Routing::Adversarial { depth } => *depth = 4,
            _ => {
                flow.publishers = flow.publishers.min(12);
                flow.subscribers = flow.subscribers.min(12);
            }
        }
        flow
    }

    #[test]
    fn every_message_matches_one_filter_of_each_subscriber_it_is_owed_to() {
        for scenario in catalogue() {
            let Plan::Flow(flow) = scenario.plan else {
                continue;
            };
            let flow = small(flow);
            let plan = TopicPlan::new(&flow, "r");
            for (publisher, topics) in plan.topics.iter().enumerate() {
                assert!(!topics.is_empty());
                for topic in topics {
                    let hits: Vec<usize> = (0..flow.subscribers)
                        .flat_map(|n| plan.filters[n].iter().map(move |filter| (n, filter)))
                        .filter(|(_, filter)| matches(filter, &topic.name))
                        .map(|(n, _)| n)
                        .collect();
                    let owed: Vec<usize> = match flow.routing {
                        Routing::Wildcard | Routing::OneTopic | Routing::SharedGroup => {
                            (0..flow.subscribers).collect()
                        }
                        _ => vec![publisher],
                    };
                    assert_eq!(hits, owed, "{}: {}", scenario.name, topic.name);
                }
            }
        }
    }

    #[test]
    fn many_filters_are_a_quarter_of_each_shape_and_topics_use_all_of_them() {
        let plan = many(10, 100_000, TopicReuse::Repeated, "r");
        let all: Vec<&String> = plan.filters.iter().flatten().collect();
        let count = |wanted: fn(&str) -> bool| all.iter().filter(|filter| wanted(filter)).count();
        assert_eq!(all.len(), 100_000);
        assert_eq!(count(|f| f.ends_with("/e/t")), 25_000);
        assert_eq!(count(|f| f.ends_with("/+/t")), 25_000);
        assert_eq!(count(|f| f.ends_with("/h/#")), 25_000);
        assert_eq!(count(|f| f.starts_with("r/+/")), 25_000);
        assert!(
            plan.topics
                .iter()
                .all(|topics| topics.len() == REPEATED_TOPICS)
        );
        for part in ["/e/t", "/c0/t", "/h/0", "r/m/"] {
            let uses = plan.topics[0]
                .iter()
                .filter(|topic| topic.name.contains(part))
                .count();
            assert_eq!(uses, REPEATED_TOPICS / 4, "{part}");
        }
    }

    #[test]
    fn distinct_topics_all_carry_a_counter() {
        let plan = many(10, 100_000, TopicReuse::Distinct, "r");
        assert!(
            plan.topics
                .iter()
                .flatten()
                .all(|topic| topic.counter_at.is_some())
        );
    }
}
