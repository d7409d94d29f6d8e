// How one row's token is chosen, as the host lays it out, and what the rules about the likeliest tokens leave of the row.
struct Draw {
  double uniform, inverseTemperature, topP, minPOffset;
  int topK;
};

struct Cut {
  float threshold;
  int lastTie;
};
