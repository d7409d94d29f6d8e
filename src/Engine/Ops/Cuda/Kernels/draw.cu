// Draw: how one row's token is chosen, in the host's layout. Cut: what min_p, top_k and top_p keep of the row (cut.cu).
struct Draw {
  double uniform, inverseTemperature, topP, minPOffset;
  int topK;
};

struct Cut {
  float threshold;
  int lastTie;
};
