(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("js");

  function each(list, action) { Array.prototype.forEach.call(list, action); }

  function choose(box, rank) {
    each(box.querySelectorAll("[data-rank]"), function (part) {
      part.hidden = part.getAttribute("data-rank") !== rank;
    });
    each(box.querySelectorAll("button[data-choose]"), function (button) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-choose") === rank));
    });
  }

  each(document.querySelectorAll(".case"), function (box) {
    each(box.querySelectorAll("button[data-choose]"), function (button) {
      button.addEventListener("click", function () { choose(box, button.getAttribute("data-choose")); });
    });
    choose(box, "0");
  });

  each(document.querySelectorAll(".stage input[type=range]"), function (slider) {
    var stage = slider.closest(".stage");
    function cut() {
      stage.style.setProperty("--cut", slider.value + "%");
      slider.setAttribute("aria-valuetext", slider.value + " % of the photo");
    }
    slider.addEventListener("input", cut);
    cut();
  });

  function all(open) {
    each(document.querySelectorAll("details"), function (part) {
      if (open) {
        if (!part.open) { part.open = true; part.setAttribute("data-closed", ""); }
      } else if (part.hasAttribute("data-closed")) {
        part.open = false;
        part.removeAttribute("data-closed");
      }
    });
  }
  window.addEventListener("beforeprint", function () { all(true); });
  window.addEventListener("afterprint", function () { all(false); });
})();
