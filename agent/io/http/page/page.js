/* The page shows what /state.json says, and computes little of its own. Whatever comes from outside
 * gets into the page as text (put(), el()), never as HTML. Nodes are kept and changed in place, so
 * nothing flickers and a selection survives. Models and servers are asked for in parts: the page
 * stays as light with 10,000 servers as with ten. */
'use strict';
(() => {
  const POLL = 2000, SLOW_POLL = 10000, PATIENCE = 8000; // ms
  const ROWS = 25; // servers at once
  const DECISIONS = 20;
  const MODELS = 50; // rows of the overview
  const LIVE = 900; // points of the live chart: half an hour
  const LIVE_LEAST = 120000; // ms that it shows
  const HOUR_LEAST = 600000; // likewise the other one
  const WARNINGS = 5; // at first
  const MANY = 50; // more models than this are looked over less often

  const $ = (id) => document.getElementById(id);
  const view = { model: null, order: 'configured', match: '', from: 0, modelsMatch: '', paused: false,
    allWarnings: false, decisionId: '', decisionState: '', decisions: [], decision: null, shown: null,
    server: null, serverShown: null };
  const live = { model: null, points: [] };
  let overview = null; // the last answer with all models
  let overviewAt = 0;
  let heard = 0; // when the agent answered last
  let timer = null;
  let asking = null; // the AbortController of what is under way

  // Nodes

  function put(node, text) {
    if (node.textContent !== String(text)) node.textContent = text;
    return node;
  }

  function mark(node, name) {
    if (node.className !== name) node.className = name;
    return node;
  }

  function el(tag, name, text) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  /* Makes the children of `parent` one for each item: `make` builds a node, `fill` sets it. */
  function each(parent, items, make, fill) {
    while (parent.children.length > items.length) parent.lastElementChild.remove();
    while (parent.children.length < items.length) parent.append(make());
    items.forEach((item, i) => fill(parent.children[i], item, i));
  }

  const row = (columns) => () => {
    const tr = el('tr');
    for (const name of columns) tr.append(el('td', name));
    return tr;
  };

  function cells(tr, texts) {
    texts.forEach((text, i) => {
      if (text !== null) put(tr.children[i], text);
    });
  }

  /* Rows, or one that says that there are none. */
  function table(body, columns, items, fill, none) {
    const empty = items.length === 0;
    if (body.dataset.empty !== String(empty)) {
      body.replaceChildren();
      body.dataset.empty = String(empty);
    }
    if (!empty) {
      each(body, items, row(columns), fill);
    } else if (body.children.length === 0) {
      const tr = el('tr');
      const td = el('td', 'empty', none);
      td.colSpan = columns.length;
      tr.append(td);
      body.append(tr);
    }
  }

  function facts(list, pairs) {
    each(list, pairs, () => {
      const div = el('div');
      div.append(el('dt'), el('dd'));
      return div;
    }, (div, [name, value, how]) => {
      put(div.firstChild, name);
      mark(put(div.lastChild, value), how || '');
    });
  }

  // Numbers

  const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
  const number = (n) => whole.format(n);

  /* Rounded down: what is not all is never 100 %. */
  function share(part, all) {
    if (all === 0) return '–';
    const p = part === all ? 100 : Math.floor((part / all) * 1e4) / 100;
    return `${p === 100 || p === 0 ? p : p.toFixed(2)} %`;
  }

  function span(seconds) {
    const s = Math.abs(seconds);
    const sign = seconds < 0 ? '-' : '';
    if (s < 1) return `${sign}${Math.round(s * 1000)} ms`;
    if (s < 10) return `${sign}${s.toFixed(1)} s`;
    if (s < 120) return `${sign}${Math.round(s)} s`;
    if (s < 7200) return `${sign}${Math.round(s / 60)} min`;
    if (s < 172800) return `${sign}${Math.round(s / 3600)} h`;
    return `${sign}${Math.round(s / 86400)} days`;
  }

  const factor = (x) => (x === null || x === undefined ? '–' : x.toFixed(2));
  const percent = (x) => `${(x * 100).toFixed(1)} %`;
  const ended = (p) => p.kept + p.missed;
  const kept = (p) => share(p.kept, ended(p));

  /* Whether the share that is promised was kept: '' says that nothing ended or nothing is promised. */
  function verdict(promises, target) {
    const all = ended(promises);
    if (all === 0 || !target) return '';
    return promises.kept / all >= target.percentile / 100 ? 'good' : 'bad';
  }

  // The top

  function showTop(s) {
    put($('version'), s.version);
    const broken = Object.values(overview.models).some((m) => verdict(m.promises['5m'], m.target) === 'bad');
    const title = broken ? 'promise broken – slo-spoa' : 'slo-spoa';
    if (document.title !== title) document.title = title;
    const connected = s.spop_connections > 0;
    const age = s.view_age_seconds;
    const pairs = [
      ['up', span(s.uptime_seconds)],
      ['HAProxy connections', number(s.spop_connections), connected ? '' : 'bad'],
      ['end-line connections', number(s.event_connections)],
      ['in flight', number(s.dispatched)],
      ['queued', number(s.queued)],
    ];
    if (s.haproxy.length > 0)
      pairs.push(['runtime API', age === null ? 'no answer yet' : `${span(age)} ago`, age === null ? 'warn' : '']);
    if (s.leases_expired > 0) pairs.push(['leases expired', number(s.leases_expired), 'warn']);
    if (s.draining) pairs.push(['draining', 'yes', 'warn']);
    facts($('facts'), pairs);
  }

  /* These say that requests go past the agent, or nowhere. */
  const GRAVE = new Set(['never-asked', 'agent-lost', 'answer-unused', 'no-end-lines', 'ids-differ', 'no-server']);

  /* What the agent says, and what is plain to see before it has watched for long enough to say it. */
  function warningsOf(s) {
    const list = (s.warnings || []).map((w) => ({ ...w, bad: GRAVE.has(w.code) }));
    const has = (code) => list.some((w) => w.code === code);
    const see = (bad, text) => ({ bad, code: '', subject: '', since_seconds: null, text });
    if (s.spop_connections === 0 && !has('never-asked'))
      list.unshift(see(true, 'HAProxy is not connected to this agent: no request is routed by it. ' +
        'See spop.listen here, and the server of the backend that the SPOE file names in HAProxy.'));
    if (!has('model-unknown'))
      for (const u of (s.unknown_models || []).slice(0, 3))
        list.push(see(false, `The model “${u.model}” was asked for ${number(u.requests)} times and is not configured.`));
    return list.sort((x, y) => y.bad - x.bad);
  }

  function showWarnings(s) {
    const all = warningsOf(s);
    const list = view.allWarnings ? all : all.slice(0, WARNINGS);
    const more = $('warnings-more');
    $('warnings').hidden = all.length === 0;
    more.hidden = all.length <= WARNINGS;
    put(more, view.allWarnings ? 'Show fewer' : `Show all ${all.length}`);
    each($('warnings-list'), list, () => {
      const p = el('p', 'note');
      p.append(el('b'), ' ', el('span'), ' ', el('small'), ' ', el('code'));
      return p;
    }, (p, w) => {
      mark(p, w.bad ? 'note bad' : 'note');
      const [subject, text, since, code] = p.children;
      put(subject, w.subject && !w.text.includes(w.subject) ? `${w.subject}:` : '');
      put(text, w.text);
      put(since, w.since_seconds === null ? '' : `for ${span(w.since_seconds)}`);
      put(code, w.code);
    });
  }

  // The overview of several models

  /* Those with trouble first: a broken promise, then a queue. */
  function urgency(m) {
    const p = m.promises['5m'];
    return (verdict(p, m.target) === 'bad' ? 2 : 0) + (m.queued > 0 ? 1 : 0);
  }

  function loadBar(td, load) {
    if (!td.firstChild) {
      const div = el('div', 'load');
      const bar = el('div', 'bar');
      bar.append(el('i'));
      div.append(bar, el('span'));
      td.append(div);
    }
    const div = td.firstChild;
    mark(div, load > 1.0001 ? 'load over' : load >= 0.9 ? 'load high' : 'load');
    const width = `${Math.min(100, load * 100).toFixed(1)}%`;
    if (div.firstChild.firstChild.style.width !== width) div.firstChild.firstChild.style.width = width;
    put(div.lastChild, load.toFixed(2));
  }

  function fillModel(tr, [name, m]) {
    tr.dataset.model = name;
    tr.tabIndex = 0;
    mark(tr, name === view.model ? 'pick picked' : 'pick');
    const p = m.promises;
    cells(tr, [name, kept(p.now), kept(p['5m']), kept(p['1h']), number(p['5m'].refused), number(m.queued),
      number(m.fleet.inflight), `${number(m.fleet.usable)} of ${number(m.fleet.servers)}`, null]);
    ['now', '5m', '1h'].forEach((w, i) => mark(tr.children[i + 1], `n ${verdict(p[w], m.target)}`));
    mark(tr.children[7], m.fleet.usable === 0 ? 'n bad' : 'n');
    loadBar(tr.children[8], m.fleet.load);
  }

  function showModels() {
    const all = Object.entries(overview.models);
    const section = $('models');
    section.hidden = all.length < 2;
    if (section.hidden) return;
    const found = all.filter(([name]) => name.includes(view.modelsMatch));
    found.sort((a, b) => urgency(b[1]) - urgency(a[1]));
    $('models-match').hidden = all.length <= 10;
    put($('models-count'), found.length > MODELS ? `${MODELS} of ${number(found.length)}, those with trouble first`
      : number(found.length));
    table($('models-rows'), ['name', 'n', 'n', 'n', 'n', 'n', 'n', 'n', ''], found.slice(0, MODELS), fillModel,
      'No model has such a name.');
  }

  // One model

  const GOALS = {
    tpot: (t) => `${span(t.seconds_per_token)} per output token` + (t.seconds > 0 ? ` after a first one within ${span(t.seconds)}` : ''),
    ttft: (t) => `the first token within ${span(t.seconds)}`,
    tpat: (t) => `${span(t.seconds_per_token)} per token, prompt and answer`,
    e2e: (t) => `the whole answer within ${span(t.seconds)}`,
  };

  function promiseText(m) {
    const t = m.target;
    const rest = `Backend ${m.backend}, strategy ${m.strategy}.`;
    if (!t) return `No promise: requests that bring no target of their own are only balanced. ${rest}`;
    const goal = GOALS[t.kind] ? GOALS[t.kind](t) : t.kind;
    return `Promise: ${goal}, for ${t.percentile} % of requests (from the ${t.from}). ${rest}`;
  }

  /* What the most urgent of those that wait has left. */
  function urgentText(u) {
    if (!u) return 'nobody waits';
    const waits = `the most urgent for ${span(u.waits_seconds)}`;
    if (u.slack_seconds === null) return waits;
    if (u.slack_seconds < 0) return `${waits}, late by ${span(-u.slack_seconds)}`;
    return `${waits}, must start within ${span(u.slack_seconds)}`;
  }

  function promiseTile(m, window, when) {
    const p = m.promises[window];
    const none = ended(p) === 0;
    return {
      window, when, how: none ? 'none' : verdict(p, m.target), value: none ? 'nothing ended' : kept(p),
      counts: `${number(p.kept)} kept, ${number(p.missed)} missed, ${number(p.refused)} refused`,
    };
  }

  function tilesOf(m) {
    const u = m.queue.urgent;
    const f = m.fleet;
    return [
      promiseTile(m, 'now', 'Kept, 1 min'),
      promiseTile(m, '5m', 'Kept, 5 min'),
      promiseTile(m, '1h', 'Kept, 1 h'),
      { window: 'queue', when: 'Queue', value: number(m.queue.length), counts: urgentText(u),
        how: u && u.slack_seconds < 0 ? 'bad' : '', title: u && u.id !== null ? `the most urgent: ${u.id}` : '' },
      { window: 'servers', when: 'Servers', value: f.usable === f.servers ? number(f.servers) : `${number(f.usable)} of ${number(f.servers)}`,
        counts: `${f.usable === f.servers ? 'all usable' : 'usable'}, load ${f.load.toFixed(2)}, ${number(f.inflight)} in flight, ${number(f.tokens_per_second)} tokens/s`,
        how: f.usable === 0 ? 'bad' : '' },
    ];
  }

  function showPromise(name, m) {
    put($('model-name'), name);
    put($('model-promise'), promiseText(m));
    each($('tiles'), tilesOf(m), () => {
      const tile = el('div', 'tile');
      tile.append(el('div', 'when'), el('div', 'share'), el('div', 'counts'));
      return tile;
    }, (tile, t) => {
      mark(tile, `tile ${t.how}`);
      tile.dataset.window = t.window;
      if (tile.title !== (t.title || '')) tile.title = t.title || '';
      const [when, value, counts] = tile.children;
      put(when, t.when);
      put(value, t.value);
      put(counts, t.counts);
    });
  }

  function showClasses(m) {
    const items = [...Object.entries(m.by_strategy), ...Object.entries(m.by_target)];
    table($('classes'), ['', 'n', 'n', 'n', 'n more', 'n more', 'n more'], items, (tr, [name, p]) => {
      cells(tr, [name, kept(p.now), kept(p['5m']), kept(p['1h']), number(p.total.kept), number(p.total.missed),
        number(p.total.refused)]);
      ['now', '5m', '1h'].forEach((w, i) => mark(tr.children[i + 1], `n ${verdict(p[w], m.target)}`));
    }, 'No request with a target has ended yet.');
  }

  function showReasons(m) {
    const all = m.decisions.reduce((sum, d) => sum + d.requests, 0);
    const items = m.decisions.filter((d) => d.verdict !== 'route').sort((a, b) => b.requests - a.requests);
    table($('reasons'), ['', '', '', 'n', 'n'], items, (tr, d) => {
      cells(tr, [d.verdict, d.reason, d.strategy, number(d.requests), share(d.requests, all)]);
    }, all ? `All ${number(all)} requests were routed.` : 'No request has come yet.');
  }

  function decidesBy(m, name, l) {
    if (!l) return m.profiles[name] ? 'profile' : 'nothing';
    if (l.profile_overruled) return 'learned times: the profile is wrong';
    return l.in_force === 'learned' ? 'learned times' : l.in_force === 'none' ? 'nothing yet' : l.in_force;
  }

  function showDeployments(m) {
    table($('deployments'), ['name', '', 'more', 'n', 'n', 'n more', 'n more'], Object.entries(m.learned), (tr, [name, l]) => {
      const known = l && l.ends > 0;
      cells(tr, [name, decidesBy(m, name, l), l ? l.state + (l.doubt ? `, doubt: ${l.doubt}` : '') : 'does not learn',
        known ? percent(Math.exp(l.error_p50) - 1) : '–', known ? percent(l.error_p99) : '–',
        l ? percent(l.rates.headroom) : '–', l ? number(l.ends) : '–']);
      mark(tr.children[1], l && l.profile_overruled ? 'bad' : '');
    }, 'The model has no deployment.');
  }

  // Servers

  const STATES = { up: 'good', untold: '', drain: 'warn', maint: 'warn', down: 'bad', absent: 'bad' };

  const inflight = (s) => (s.foreign > 0 ? `${number(s.inflight)} (${number(s.foreign)} of others)` : number(s.inflight));

  function fillServer(tr, [name, s]) {
    const p = s.promises['5m'];
    tr.dataset.server = name;
    tr.tabIndex = 0;
    mark(tr, name === view.server ? 'pick picked' : 'pick');
    cells(tr, [name, s.deployment, null, null, inflight(s), number(s.tokens_per_second), factor(s.slower),
      factor(s.actual_over_predicted), kept(p), number(s.requests)]);
    const state = tr.children[2];
    if (!state.firstChild) state.append(el('span', 'state'));
    put(state.firstChild, s.set_aside ? `${s.state}, set aside` : s.state);
    mark(state.firstChild, `state ${s.set_aside ? 'bad' : STATES[s.state] || ''}`);
    loadBar(tr.children[3], s.load);
  }

  function engineFacts(e) {
    if (!e) return [];
    if (!e.answers) return [['engine', e.error ? `does not answer: ${e.error}` : 'has not answered yet', 'warn']];
    const list = [['engine', `${e.make}, asked ${span(e.age_seconds)} ago`]];
    const add = (name, key, text) => {
      if (e[key] !== null && e[key] !== undefined) list.push([name, text(e[key])]);
    };
    add('runs', 'running', number);
    add('waiting in it', 'waiting', number);
    add('KV cache', 'kv_used', percent);
    add('KV tokens', 'kv_tokens', number);
    return list;
  }

  function serverFacts(s) {
    const p = s.promises;
    const list = [['deployment', s.deployment], ['state', s.state, STATES[s.state]],
      ['gets requests', s.usable ? (s.set_aside ? 'no: it failed several times in a row' : 'yes') : 'no', s.usable && !s.set_aside ? '' : 'bad'],
      ['load', `${s.load.toFixed(3)}, at most ${s.peak_load.toFixed(2)} so far`],
      ['in flight', `${inflight(s)}, at most ${number(s.peak_inflight)} so far`],
      ['tokens/s', number(s.tokens_per_second)], ['tokens', number(s.tokens)], ['served', number(s.requests)],
      ['kept', ['now', '5m', '1h'].map((w) => `${w} ${kept(p[w])}`).join(', ')],
      ['missed in 1 h', number(p['1h'].missed)]];
    if (s.actual_over_predicted !== null) list.push(['takes', `${factor(s.actual_over_predicted)} times the predicted time`]);
    if (s.drift) list.push(['HAProxy counts more', number(s.drift), 'warn']);
    if (s.surplus) list.push(['not placed here by agents', number(s.surplus), 'warn']);
    const repairs = Object.entries(s.repairs).filter(([, n]) => n > 0);
    if (repairs.length) list.push(['put right', repairs.map(([why, n]) => `${why} ${number(n)}`).join(', ')]);
    if (s.withheld) list.push(['withheld', s.withheld.toFixed(2)]);
    return list.concat(engineFacts(s.engine));
  }

  /* The server that was picked, as it was seen last: it may stand on another part of the list. */
  function showServer(m) {
    if (view.server !== null && m.servers[view.server]) view.serverShown = m.servers[view.server];
    $('server').hidden = view.server === null || !view.serverShown;
    if ($('server').hidden) return;
    put($('server-name'), view.server);
    facts($('server-facts'), serverFacts(view.serverShown));
  }

  function showPeers(s) {
    const c = s.cluster;
    $('peers-section').hidden = !c;
    if (!c) return;
    put($('peers-state'), !c.connected ? 'Redis does not answer: nothing is heard' : c.refused
      ? `another process is called ${c.name}: nothing is told` : `this one is ${c.name} of ${c.group}`);
    mark($('peers-state'), c.connected && !c.refused ? '' : 'bad');
    table($('peers'), ['name', '', 'n', 'n more'], c.peers, (tr, p) => {
      cells(tr, [p.name, p.age_seconds === null ? 'never' : `${span(p.age_seconds)} ago`, number(p.leases), number(p.gaps)]);
      mark(tr.children[1], p.silent ? 'bad' : '');
    }, 'No other agent is in this group.');
  }

  function showServers(m) {
    const items = Object.entries(m.servers).sort((a, b) => a[1].position - b[1].position);
    const last = view.from + items.length;
    put($('servers-count'), m.matched === m.fleet.servers ? number(m.matched)
      : `${number(m.matched)} of ${number(m.fleet.servers)}`);
    put($('servers-range'), items.length ? `${number(view.from + 1)}–${number(last)}` : '0');
    $('servers-back').disabled = view.from === 0;
    $('servers-next').disabled = last >= m.matched;
    table($('servers'), ['name', 'more', '', '', 'n', 'n more', 'n more', 'n more', 'n', 'n more'], items, fillServer,
      view.match ? 'No server has such a name or state.' : 'The model has no server.');
    if (items.length === 0 && view.from > 0) {
      view.from = 0; // servers left
      again();
    }
  }

  // Decisions

  const VERDICTS = { route: 'to', fallback: 'fallback to' };

  function decisionText(d) {
    if (d.server) return `${VERDICTS[d.verdict] || d.verdict} ${d.server}${d.reason ? ` (${d.reason})` : ''}`;
    return [d.verdict || d.state, d.reason].filter(Boolean).join(': ');
  }

  const HOW = { route: '', fallback: 'warn', pass: 'warn', reject: 'bad' };

  function keptText(d) {
    if (d.verdict === 'reject' && d.target) return 'refused';
    if (!d.end || d.end.met === null) return d.target ? (d.state === 'runs' ? 'runs' : '–') : 'none';
    return d.end.met ? 'kept' : `missed: ${d.end.missed.join(', ')}`;
  }

  const clock = (unix) => new Date(unix * 1000).toLocaleTimeString('en-GB');
  const tokens = (d) => `${d.prompt_tokens === null ? '?' : number(d.prompt_tokens)} + ` +
    `${d.output_tokens === null ? '?' : number(d.output_tokens)}`;

  function fillDecision(tr, d) {
    tr.dataset.number = d.number;
    tr.tabIndex = 0;
    mark(tr, d.number === view.decision ? 'pick picked' : 'pick');
    cells(tr, [clock(d.time), d.id, decisionText(d), span(d.wait_seconds), tokens(d),
      d.end && d.end.e2e_seconds !== null ? span(d.end.e2e_seconds) : '–', keptText(d)]);
    mark(tr.children[2], `name ${HOW[d.verdict] || ''}`);
    mark(tr.children[6], d.end && d.end.met === false ? 'bad' : '');
  }

  function showDecisions(answer) {
    $('decisions-section').hidden = !answer;
    if (!answer) return;
    view.decisions = answer.decisions;
    const of = view.server !== null && !view.decisionId ? ` on ${view.server}` : '';
    put($('decisions-count'), answer.kept ? `the newest${of}; ${number(answer.kept)} are kept` : '');
    const none = answer.kept === 0 ? 'None is kept: see decisions.keep in the configuration.'
      : view.decisionId ? 'No request with that id is known.' : 'There is none.';
    table($('decisions'), ['', 'name', 'name', 'n more', 'n more', 'n more', ''], answer.decisions, fillDecision, none);
  }

  function decisionFacts(d) {
    const list = [['model', d.model || d.asked_model || '?'], ['strategy', d.strategy]];
    if (d.strategy_asked !== d.strategy) list.push(['asked for', d.strategy_asked]);
    if (d.target) list.push(['target', `${d.target.kind} ${span(d.target.seconds)}${d.target.own ? ', its own' : ''}`]);
    list.push(['waited', span(d.wait_seconds)], ['others waiting', number(d.queued_behind)], ['tokens', tokens(d)]);
    if (d.server) {
      list.push(['server had', `load ${d.server_load.toFixed(2)}, ${number(d.server_inflight)} in flight`]);
      list.push(['it weighs', d.load.toFixed(3)]);
    }
    if (d.before && d.before.count) list.push(['placed while it waited', number(d.before.count) + (d.before.more ? ' or more' : '')]);
    if (d.end) {
      list.push(['answered by', d.end.server || 'nobody'], ['status', d.end.status < 0 ? 'none' : d.end.status], ['termination', d.end.termination]);
      if (d.end.e2e_seconds !== null) list.push(['took', span(d.end.e2e_seconds)]);
      if (d.end.ttft_seconds !== null) list.push(['first token', span(d.end.ttft_seconds)]);
      if (d.end.output_tokens !== null) list.push(['tokens really', `${d.end.prompt_tokens === null ? '?' : number(d.end.prompt_tokens)} + ${number(d.end.output_tokens)}`]);
      list.push(['promise', keptText(d), d.end.met === false ? 'bad' : '']);
    }
    if (d.trace) list.push(['trace', d.trace]);
    return list;
  }

  function showDecision(d) {
    $('decision').hidden = !d;
    if (!d) return;
    put($('decision-id'), `Request ${d.id}, ${decisionText(d)}`);
    put($('decision-why'), d.why);
    facts($('decision-facts'), decisionFacts(d));
    $('decision-options-scroll').hidden = d.options.length === 0;
    each($('decision-options'), d.options, row(['name', '', 'n', 'n', 'n', 'n']), (tr, o) => {
      const slack = o.slack_seconds;
      cells(tr, [o.deployment, o.result, slack === null ? '–' : span(slack), o.load.toFixed(3),
        o.emptiest_load === null ? '–' : o.emptiest_load.toFixed(2),
        o.expected_seconds === null ? '–' : span(o.expected_seconds)]);
      mark(tr.children[2], slack !== null && slack < 0 ? 'n bad' : 'n');
    });
  }

  /* What is known of it by now, which may be more than when it was clicked on. */
  async function askDecision() {
    const known = view.decisions.find((d) => d.number === view.decision) || view.shown;
    if (view.decision === null || !known) return null;
    const answer = await ask(`decisions?${new URLSearchParams({ id: known.id })}`);
    view.shown = answer.decisions.find((d) => d.number === view.decision) || known;
    return view.shown;
  }

  function decisionsPath() {
    const q = new URLSearchParams(view.decisionId ? { id: view.decisionId } : { limit: DECISIONS, model: view.model });
    if (view.decisionState && !view.decisionId) q.set('state', view.decisionState);
    if (view.server !== null && !view.decisionId) q.set('server', view.server);
    return `decisions?${q}`;
  }

  // Charts

  /* Its legend writes HTML with styles of its own, which our policy forbids. We have another. */
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
  const charts = {};
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* It shows at least the last `least` ms. */
  function chart(id, data, labels, colors, more, least) {
    const last = Date.now();
    const first = Math.min(data.length ? data[0][0] : last, last - least);
    const options = {
      file: data.length ? data : [[new Date(last), ...labels.slice(1).map(() => 0)]], labels, dateWindow: [first, last],
      colors: colors.map(color), axisLineColor: color('--line'), gridLineColor: color('--line'),
    };
    if (charts[id]) {
      charts[id].updateOptions(options);
      return;
    }
    const at = $(`${id}-at`);
    charts[id] = new Dygraph($(id), options.file, {
      ...options, ...more, includeZero: true, axisLabelFontSize: 11, gridLineWidth: 0.5,
      axisLabelWidth: 42, rightGap: 4, highlightCircleSize: 3, interactionModel: {},
      axes: { y: { axisLabelWidth: 34 } },
      highlightCallback: (event, x, points) => {
        const time = new Date(x).toLocaleTimeString('en-GB');
        put(at, `${time}: ${points.map((p) => `${p.name} ${+p.yval.toFixed(1)}`).join(', ')}`);
      },
      unhighlightCallback: () => put(at, ''),
    });
  }

  /* An hour in slots of 2 min, and the last minutes in the finer ones; without the slot under way,
   * and without those of before the agent began. */
  function hourPoints(h, uptime) {
    const now = Date.now();
    const points = [];
    const add = (w, from, to) => {
      const n = w.kept.length;
      for (let i = from; i < to; i += 1) {
        const per = 60 / w.seconds;
        const age = (n - i) * w.seconds;
        if (age <= uptime + w.seconds) points.push([now - age * 1000, w.kept[i] * per, w.missed[i] * per,
          w.refused[i] * per]);
      }
    };
    const fine = h['5m'].kept.length * h['5m'].seconds;
    add(h['1h'], 0, h['1h'].kept.length - Math.ceil(fine / h['1h'].seconds));
    add(h['5m'], 0, h['5m'].kept.length - 1);
    // The last step has an end.
    const last = points[points.length - 1];
    if (last) points.push([last[0] + h['5m'].seconds * 1000, ...last.slice(1)]);
    return points.map(([at, ...rest]) => [new Date(at), ...rest]);
  }

  function showCharts(name, m, uptime) {
    chart('chart-hour', hourPoints(m.history, uptime), ['time', 'kept', 'missed', 'refused'],
      ['--kept', '--missed', '--refused'], { stackedGraph: true, fillGraph: true, stepPlot: true, fillAlpha: 0.8, strokeWidth: 0 }, HOUR_LEAST);
    if (live.model !== name) {
      live.model = name;
      live.points = [];
    }
    live.points.push([new Date(), m.fleet.inflight, m.queued]);
    if (live.points.length > LIVE) live.points.shift();
    chart('chart-live', live.points, ['time', 'in flight', 'queued'], ['--inflight', '--queued'],
      { strokeWidth: 1.5 }, LIVE_LEAST);
  }

  dark.addEventListener('change', () => {
    if (overview) again();
  });

  // Asking

  async function ask(path) {
    const answer = await fetch(path, { signal: asking.signal, cache: 'no-store' });
    if (!answer.ok) throw new Error(`${path}: status ${answer.status}`);
    return answer.json();
  }

  function detailPath() {
    const q = new URLSearchParams({ model: view.model, limit: ROWS, from: view.from, order: view.order });
    if (view.match) q.set('match', view.match);
    return `state.json?${q}`;
  }

  function chooseModel() {
    const names = Object.keys(overview.models);
    const asked = new URLSearchParams(location.hash.slice(1)).get('model');
    if (asked !== null && names.includes(asked)) view.model = asked;
    else if (!names.includes(view.model)) view.model = names.length ? names[0] : null;
  }

  async function refresh() {
    const many = overview && Object.keys(overview.models).length > MANY;
    if (!overview || !many || Date.now() - overviewAt > SLOW_POLL) {
      overview = await ask('state.json?brief=1');
      overviewAt = Date.now();
    }
    chooseModel();
    const s = view.model === null ? overview : await ask(detailPath());
    heard = Date.now();
    showTop(s);
    showWarnings(s);
    showModels();
    const m = view.model === null ? null : s.models[view.model];
    $('model').hidden = !m;
    if (!m) return;
    showPromise(view.model, m);
    showClasses(m);
    showReasons(m);
    showDeployments(m);
    showServers(m);
    showServer(m);
    showPeers(s);
    showCharts(view.model, m, s.uptime_seconds);
    showDecisions(await ask(decisionsPath()));
    showDecision(await askDecision());
  }

  function showLive(problem) {
    const lost = Boolean(problem);
    document.documentElement.classList.toggle('stale', lost);
    const since = heard ? ` for ${span((Date.now() - heard) / 1000)}` : '';
    put($('live'), lost ? `no answer${since}` : view.paused ? 'paused' : 'live');
    mark($('live'), lost ? 'lost' : '');
  }

  async function turn() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = new AbortController();
    asking = mine;
    const patience = setTimeout(() => mine.abort(), PATIENCE);
    try {
      await refresh();
      showLive('');
    } catch (e) {
      if (asking !== mine) return; // another turn took over
      showLive(e.message || 'no answer');
    } finally {
      clearTimeout(patience);
    }
    if (asking !== mine) return;
    asking = null;
    document.documentElement.dataset.turns = String(Number(document.documentElement.dataset.turns || 0) + 1);
    if (!view.paused && !document.hidden) timer = setTimeout(turn, POLL);
  }

  function again() {
    clearTimeout(timer);
    timer = setTimeout(turn, 0);
  }

  // What people do

  function pick(target) {
    const tr = target.closest('tr.pick');
    if (!tr) return;
    view.from = 0;
    view.decision = view.shown = view.server = view.serverShown = null;
    view.model = tr.dataset.model;
    location.hash = new URLSearchParams({ model: view.model });
  }

  $('warnings-more').addEventListener('click', () => {
    view.allWarnings = !view.allWarnings;
    again();
  });
  $('models-rows').addEventListener('click', (e) => pick(e.target));
  $('models-rows').addEventListener('keydown', (e) => {
    if (e.key === 'Enter') pick(e.target);
  });
  window.addEventListener('hashchange', again);
  $('models-match').addEventListener('input', (e) => {
    view.modelsMatch = e.target.value;
    showModels();
  });
  function pickDecision(target) {
    const tr = target.closest('tr.pick');
    if (!tr) return;
    const picked = Number(tr.dataset.number);
    view.decision = picked === view.decision ? null : picked;
    view.shown = view.decisions.find((d) => d.number === view.decision) || null;
    showDecision(view.shown);
    if (view.shown) $('decision').scrollIntoView({ block: 'nearest' });
    again();
  }

  function pickServer(target) {
    const tr = target.closest('tr.pick');
    if (!tr) return;
    view.server = tr.dataset.server === view.server ? null : tr.dataset.server;
    view.serverShown = null;
    again();
  }

  $('servers').addEventListener('click', (e) => pickServer(e.target));
  $('servers').addEventListener('keydown', (e) => {
    if (e.key === 'Enter') pickServer(e.target);
  });
  $('server-close').addEventListener('click', () => {
    view.server = view.serverShown = null;
    again();
  });
  $('decisions').addEventListener('click', (e) => pickDecision(e.target));
  $('decisions').addEventListener('keydown', (e) => {
    if (e.key === 'Enter') pickDecision(e.target);
  });
  $('decision-close').addEventListener('click', () => {
    view.decision = view.shown = null;
    again();
  });
  $('decisions-tools').addEventListener('submit', (e) => e.preventDefault());
  $('decisions-id').addEventListener('input', (e) => {
    view.decisionId = e.target.value.trim();
    again();
  });
  $('decisions-state').addEventListener('change', (e) => {
    view.decisionState = e.target.value;
    again();
  });
  $('servers-tools').addEventListener('submit', (e) => e.preventDefault());
  $('servers-match').addEventListener('input', (e) => {
    view.match = e.target.value;
    view.from = 0;
    again();
  });
  $('servers-order').addEventListener('change', (e) => {
    view.order = e.target.value;
    view.from = 0;
    again();
  });
  $('servers-back').addEventListener('click', () => {
    view.from = Math.max(0, view.from - ROWS);
    again();
  });
  $('servers-next').addEventListener('click', () => {
    view.from += ROWS;
    again();
  });
  $('pause').addEventListener('click', () => {
    view.paused = !view.paused;
    $('pause').setAttribute('aria-pressed', String(view.paused));
    put($('pause'), view.paused ? 'Go on' : 'Pause');
    showLive('');
    if (!view.paused) again();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !view.paused) again();
  });
  turn();
})();
