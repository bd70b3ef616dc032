// Reads the page again from time to time and replaces its main part. Without this script the page works as it is.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  const note = document.getElementById("freshness");
  let failedSince = null;

  // A reader who selects text or types is not disturbed.
  const isInUse = () => document.hidden || String(getSelection()) !== "" ||
    (document.activeElement && document.activeElement.matches("input, select, textarea"));

  // The link or region that has the focus, to give the focus to its successor.
  const focused = () => {
    const element = document.activeElement;
    if (!element || !main().contains(element) || element === main()) return null;
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.getAttribute("href")) return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
    const label = element.getAttribute("aria-label");
    return label ? `[aria-label="${CSS.escape(label)}"]` : null;
  };

  const replace = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const fresh = next.getElementById("main");
    if (!fresh) return;
    const scrolled = [...main().querySelectorAll(".scroll")].map((region) => region.scrollLeft);
    const selector = focused();
    main().replaceWith(document.adoptNode(fresh));
    main().querySelectorAll(".scroll").forEach((region, index) => { region.scrollLeft = scrolled[index] || 0; });
    if (selector) main().querySelector(selector)?.focus({ preventScroll: true });
    document.title = next.title;
  };

  const refresh = async () => {
    if (!isInUse()) {
      try {
        const response = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (response.redirected) return location.reload();
        replace(await response.text());
        failedSince = null;
        note.textContent = "";
      } catch {
        failedSince ??= new Date().toISOString().slice(11, 19);
        note.textContent = `This page is old: attrsync has not responded since ${failedSince} UTC.`;
      }
    }
    plan();
  };

  const plan = () => {
    const seconds = Number(main().dataset.refresh);
    if (seconds > 0) setTimeout(refresh, seconds * 1000);
  };

  plan();
})();
