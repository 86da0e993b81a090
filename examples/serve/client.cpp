// client MODEL INPUT: run a converted model on raw float32, print its prediction and the pixel that speaks most for it.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <onnxruntime_cxx_api.h>
#include <vector>

int main(int argc, char **argv) try {
  if (argc != 3) return std::fprintf(stderr, "client MODEL INPUT\n"), 2;
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "client");
  Ort::Session session(env, argv[1], Ort::SessionOptions());
  std::ifstream file(argv[2], std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> x(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), x.size() * sizeof(float), reinterpret_cast<char *>(x.data()));

  auto shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
  for (auto &size : shape) size = std::max<int64_t>(size, 1);  // an open batch of one
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<int64_t> target{-1}, targets{1};  // the largest output
  Ort::Value feeds[] = {
      Ort::Value::CreateTensor<float>(memory, x.data(), x.size(), shape.data(), shape.size()),
      Ort::Value::CreateTensor<int64_t>(memory, target.data(), 1, targets.data(), 1)};
  const char *inputs[] = {"input", "target"}, *outputs[] = {"logits", "relevance"};
  auto found = session.Run(Ort::RunOptions(), inputs, feeds, 2, outputs, 2);

  const float *logits = found[0].GetTensorData<float>(), *relevance = found[1].GetTensorData<float>();
  const auto best = std::max_element(logits, logits + found[0].GetTensorTypeAndShapeInfo().GetElementCount());
  const auto most = std::max_element(relevance, relevance + x.size());
  const long place = most - relevance, width = shape.back();
  std::printf("prediction %ld logit %.4f\n", static_cast<long>(best - logits), *best);
  std::printf("strongest pixel row %ld column %ld relevance %.4f\n", place / width, place % width, *most);
} catch (const std::exception &error) {
  return std::fprintf(stderr, "client: %s\n", error.what()), 1;
}
